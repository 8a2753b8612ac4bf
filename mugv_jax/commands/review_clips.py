# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax data review`: a list of curated clips for people to judge."""

import argparse
import logging

from mugv_jax.bounds import require_at_least
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_path,
    add_switch,
    add_value,
    local_path,
)
from mugv_jax.curate.review import to_review, write_review
from mugv_jax.curate.run import CLIPS
from mugv_jax.curate.table import read_table
from mugv_jax.files import check_writable, user_path
from mugv_jax.weights.staging import refuse_existing

log = logging.getLogger(__name__)

COUNT = 200
HELP = (
    "Write a list of curated clips for people to judge: motion continuity, content stability and "
    "visual fidelity, 1 to 5. `data curate --labels` reads the labels back."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.set_defaults(run=run)
    add_path(parser, "set", "folder that `data curate` filled", "SET")
    add_output(parser, ".csv, .tsv or .jsonl file to fill in", "LIST", type=local_path)
    add_overwrite(parser, "replace the list, with all labels in it")
    add_value(parser, "--count", COUNT, "clips at most", metavar="N")
    add_switch(parser, "--best", "the best clips [a sample of all that are kept, by their score]")


def run(args: argparse.Namespace) -> None:
    """Write the list.

    Raises:
        ValueError: no set, no clip that is kept, or a list that exists.
    """
    require_at_least(1, args, "count")
    refuse_existing(args.output, overwrite=args.overwrite)
    check_writable(args.output)
    table = user_path(args.set) / CLIPS
    if not table.is_file():
        raise ValueError(f"{str(args.set)!r} is no folder that `data curate` filled: no {CLIPS}.")
    rows = read_table(table)
    chosen = to_review(rows, args.count, best=args.best)
    write_review(args.output, chosen)
    log.info("wrote %s: %d clips.", args.output, len(chosen))
