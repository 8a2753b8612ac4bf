# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Curation: from raw videos to a balanced, captioned training set.

    videos -> shots -> clips with scores -> duplicates, thresholds -> captions, tags -> balanced set

Stages are pure functions from rows to rows (`stage`), carried by a plain loop or by Ray Data.
"""
