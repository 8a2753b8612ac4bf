# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
