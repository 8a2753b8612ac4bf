# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Run-time checker of annotations, which accepts an int for a float."""

from collections.abc import Callable

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def decorate_outer(jaxtyped: Callable) -> Callable:
    """`jaxtyped` for functions and classes of a module, not for those inside a function.

    These are made anew in every call, and decorating them took a tenth of the suite's time.
    """

    def of_module(*, typechecker: Callable) -> Callable:
        decorate = jaxtyped(typechecker=typechecker)
        return lambda each: each if "<locals>" in each.__qualname__ else decorate(each)

    return of_module
