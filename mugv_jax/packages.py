# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Optional packages, imported when something needs them."""

import importlib
import importlib.util
from typing import Any


def require(*modules: str, install: str) -> None:
    """Checks that modules can be imported, without importing them.

    install: what pip installs to have them, such as "mugv_jax[eval]".

    Raises:
        ValueError: a package is not installed.
    """
    missing = [each for each in modules if importlib.util.find_spec(each) is None]
    if missing:
        raise ValueError(f"{', '.join(missing)}: not installed; pip install '{install}'.")


def needed(module: str, *, install: str) -> Any:
    """The module of this name, such as "cv2".

    Raises:
        ValueError: its package is not installed.
    """
    require(module.split(".")[0], install=install)
    return importlib.import_module(module)
