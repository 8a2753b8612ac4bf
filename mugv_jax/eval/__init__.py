# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of any model: reconstruction by VAEs, distances of paired videos, VBench, and people.

answers   answers in a file, from which an interrupted measurement resumes
clips     videos at a resolution           pairs     two folders of videos, paired by name
measures  metrics of a video and another   flolpips  LPIPS where the motion differs
vae       VAEs of all systems              measuring the measurement itself, and its files
summary   means with bootstrap intervals   tables    them as Markdown
vbench    the videos that VBench asks for, its scores and their totals
human     what annotators say about videos
"""
