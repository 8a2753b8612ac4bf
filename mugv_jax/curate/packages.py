# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Packages of the extra `curate`, imported when a stage needs them."""

import functools

from mugv_jax import packages

EXTRA = "mugv_jax[curate]"

require = functools.partial(packages.require, install=EXTRA)
needed = functools.partial(packages.needed, install=EXTRA)
