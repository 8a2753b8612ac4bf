# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Packages of the extra `curate`, imported when a stage needs them."""

import importlib
import importlib.util
from typing import Any

EXTRA = "mugv_jax[curate]"


def require(*modules: str) -> None:
    """Checks that modules can be imported, without importing them.

    Raises:
        ValueError: a package is not installed.
    """
    missing = [each for each in modules if importlib.util.find_spec(each) is None]
    if missing:
        raise ValueError(f"{', '.join(missing)}: not installed; pip install '{EXTRA}'.")


def needed(module: str) -> Any:
    """The module of this name, such as "cv2".

    Raises:
        ValueError: its package is not installed.
    """
    require(module.split(".")[0])
    return importlib.import_module(module)
