# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Functions that a config names: registered ones, or a user's own as `module:function`."""

import importlib
from collections.abc import Callable, Mapping


def find_function(field: str, name: str, registered: Mapping[str, str]) -> Callable:
    """The function that the config's `field` names.

    registered: short names and their `module:function`. They are imported here and not above, so
        that the trainer does not depend on them.

    Raises:
        ValueError: a name that is not registered, or a module or function that does not exist.
    """
    where = registered.get(name, name)
    module_name, _, function_name = where.partition(":")
    if not module_name or not function_name:
        known = ", ".join(registered)
        raise ValueError(
            f"{field}={name!r} must be one of {known}, or a Python function as module:function."
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(
            f"{field}={name!r}: {module_name} cannot be imported ({error}). Its folder must be on "
            "the PYTHONPATH of every process."
        ) from error
    found = getattr(module, function_name, None)
    if not callable(found):
        raise ValueError(f"{field}={name!r}: {module_name} has no function {function_name!r}.")
    return found
