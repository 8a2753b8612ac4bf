# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""VBench (arXiv:2311.17982) and VBench-I2V (arXiv:2411.13503): what their tools ask for and tell.

suites   dimensions, their weights and ranges     totals   quality, semantic, I2V and total scores
prompts  the official lists, and names of videos  tool     the official tool as a subprocess
"""
