# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small T5 encoder with its own vocabulary, trained on captions alone.

vocabulary   captions -> spiece.model       denoise  masking, loss and one training step
text_config  sizes and training settings    probe    accuracy of an encoder
run          captions -> trained encoder -> folder laid out as T5's
"""
