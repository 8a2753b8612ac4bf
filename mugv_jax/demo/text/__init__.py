# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small T5 encoder with its own vocabulary, trained on captions alone.

vocabulary  captions -> spiece.model       denoise  masked tokens, their loss, one step
config      sizes and steps                run      captions -> trained encoder
probe       how good it is                 export   -> a folder as T5 is published
"""
