# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Programs for developers: benchmarks with their PyTorch reference, and plots."""
