# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m mugv_jax` is the command `mugv-jax`."""

import sys

from mugv_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
