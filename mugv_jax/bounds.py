# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What numbers of a config must at least be."""


def require_at_least(bound: int, config: object, *fields: str) -> None:
    """
    Raises:
        ValueError: one of the config's `fields` is below `bound`.
    """
    for field in fields:
        value = getattr(config, field)
        if value < bound:
            raise ValueError(f"{field}={value} must be at least {bound}.")
