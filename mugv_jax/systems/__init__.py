# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Systems: families of models that together generate or enhance videos.

`NAMES` registers them: system NAME is described in `mugv_jax/systems/NAME/system.py`, which is
imported on first use (`systems.system.find`). If a command or a checkpoint could belong to several
systems, the first one is assumed.
"""

NAMES = ("mugv", "enhancer", "contentv", "wan")
