# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small world of rendered product clips whose captions a program can check.

scene     what is in a clip, drawn from a seed; which combinations training never sees
shapes    silhouettes as signed distances          render   scene -> frames
captions  scene -> text                            reading  frames -> shape, colour, motion
clips     random access to rendered clips          builder  the same as a TFDS data set
"""
