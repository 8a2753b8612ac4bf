# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Bad and odd command lines, drawn at random from a seed, and what every answer must be.

python -m tests.fuzz --count 300 --seed 1
"""
