# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A reward model of the demo's world, trained on the labels of its checker.

model  the network and the reward      clips  labelled clips      run  training and accuracy
"""
