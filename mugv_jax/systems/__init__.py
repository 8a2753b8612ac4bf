# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Families of models that generate or enhance videos together.

`NAMES` registers them: system NAME is described in `mugv_jax/systems/NAME/system.py`, which is
imported when something first asks for it (`systems.system.find`). Where a command or a checkpoint
could be of several systems, the first one is assumed.
"""

NAMES = ("mugv", "enhancer", "contentv")
