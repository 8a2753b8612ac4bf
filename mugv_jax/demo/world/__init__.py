# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small world of rendered product clips whose captions a program can check.

scene     content of a clip, drawn from a seed; combinations that training never sees
shapes    silhouettes as signed distances          render   scene -> frames
captions  scene -> text                            reading  frames -> shape, colour, motion
segment   frames -> pixels of the main object      polar    maps in polar coordinates, for reading
clips     random access to rendered clips          export   clips as video files with captions
builder   clips as a TFDS data set
"""
