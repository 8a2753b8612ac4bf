# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""mugv_jax: MUG-V video generation in JAX/Flax."""
