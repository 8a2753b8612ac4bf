# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Prompt rewriting: a few words, and a picture, become the long description that models know.

instruction  what the language model is asked     answer    what is accepted of its answer
endpoint     models behind an HTTP endpoint       local     models in a `transformers` folder
rewriter     the two as one callable, with a cache on disk
"""
