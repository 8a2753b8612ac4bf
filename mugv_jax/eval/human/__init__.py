# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics of what annotators say about videos.

consensus    the answer of the majority        preferences  GSB and win rates of two models
agreement    Krippendorff's alpha, Fleiss' kappa    rates   shares with Wilson's intervals
"""
