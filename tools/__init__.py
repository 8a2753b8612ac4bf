# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Programs for developers: benchmarks and the PyTorch reference they compare with."""
