# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP servers: `http` is what they share, and each other folder is one server with its page."""
