# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Data of post-training: videos of the model itself, labels of them, and preference pairs.

prompts   lists of captions         sampling  K videos of each prompt, as training samples
folder    where samples are kept    scoring   a program's judgement of videos; demo  the demo's
labels    scores and comparisons    pairs     labels -> preference pairs, or desirable samples
reversal  pairs from real clips, without labels; reversing  a folder of them
"""
