# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Lower bounds of numbers in a config."""


def require_at_least(bound: int, config: object, *fields: str) -> None:
    """Check that the config's `fields` are None or at least `bound`.

    Raises:
        ValueError: one of them is below it.
    """
    for field in fields:
        value = getattr(config, field)
        if value is not None and value < bound:
            raise ValueError(f"{field}={value} must be at least {bound}.")
