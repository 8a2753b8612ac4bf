# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured of videos and clips: one stage a file, each a function from rows to rows."""
