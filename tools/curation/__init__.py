# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A corpus of videos whose truth is known, and the score of a curation against it."""
