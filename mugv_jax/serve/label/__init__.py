# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Labelling of videos by people in a browser, without their knowing what made the videos.

questions  kinds of sets and what they ask    labelset  the set in a folder
sources    videos, prompts, known answers     media     copies without tags
create     making of sets                     plan      orders and sides
store      answers on disk                    tasks     assignments, answers, undo
app        the HTTP server and its page       results   what the answers say
"""
