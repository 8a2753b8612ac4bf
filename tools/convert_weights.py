# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Convert weights between published files and Orbax checkpoints: `mugv-jax convert` by itself."""

import argparse
import sys

from mugv_jax.weights.convert import add_arguments, run


def main() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    try:
        run(parser.parse_args())
    except ValueError as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
