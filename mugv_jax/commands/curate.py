# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax data curate`: raw videos to a balanced set of clips, with a report."""

import argparse
import contextlib
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mugv_jax import config as configs
from mugv_jax.commands.options import add_output, add_overwrite, add_path, local_path
from mugv_jax.commands.training import OVERRIDES, read_config
from mugv_jax.curate.run import CLIPS, FILES, PARTS, Curated, curate
from mugv_jax.curate.settings import CurateConfig, from_config_dict
from mugv_jax.curate.thresholds import DROPPED_BY
from mugv_jax.data.replacing import replacing
from mugv_jax.files import SAMPLES, check_output_folder

log = logging.getLogger(__name__)

DEFAULT = "curate/default"
HELP = (
    "Curate raw videos: cut shots into clips, score them, drop what thresholds refuse and what is "
    "there twice, caption and balance the rest. Run the command again to continue an interrupted "
    "run, or after changing thresholds, which measures nothing again."
)
EXAMPLES = """examples:
  mugv-jax data curate raw --output set
  mugv-jax data curate raw.csv --output set --config curate/mugv --workers 16
  mugv-jax data curate raw --output set --config.thresholds.motion.low=1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.set_defaults(run=run, overrides=())
    parser.epilog = EXAMPLES + OVERRIDES
    raw = "folder of videos, or .csv, .tsv or .jsonl with path, and optionally id, source, caption"
    add_path(parser, "raw", raw, "RAW", type=local_path)
    add_output(parser, "folder of the set", "SET", type=local_path)
    text = f"config of the package, or the path of a file [{DEFAULT}]"
    add_path(parser, "--config", text, "CONFIG", default=DEFAULT)
    workers = (
        "processors for Ray Data, on this machine or on the cluster of RAY_ADDRESS [one process "
        "without Ray]"
    )
    parser.add_argument("--workers", type=int, metavar="N", help=workers)
    labels = "list of `data review` that people have filled in: its labels become columns"
    add_path(parser, "--labels", labels, "LIST")
    add_overwrite(parser, "measure everything anew")


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ValueError: options, a config, a list or models that cannot be used.
    """
    if args.workers is not None and args.workers < 1:
        raise ValueError(f"--workers={args.workers} must be at least 1.")
    config = read_config(configs.read(args.config), args.overrides, from_config_dict)
    check_output_folder(args.output, SAMPLES)
    _say_what_is_off(config)
    anew = contextlib.nullcontext()
    if args.overwrite:
        anew = replacing(args.output, FILES, proof=PARTS)
    with anew:
        done = curate(args.raw, args.output, config, args.workers, args.labels)
    sys.stdout.write("\n".join(summary(done, args.output)) + "\n")


def _say_what_is_off(config: CurateConfig) -> None:
    """Log the thresholds that have no column to look at, as no model was given."""
    made = {name for stage in (*config.measures, *config.asking) for name in stage.WRITES}
    clip = next((stage for stage in config.measures if stage.NAME == "clip"), None)
    if clip is not None and not getattr(clip, "head", ""):
        made -= {"aesthetic"}
    made |= {*config.shots.WRITES, *config.probe.WRITES}
    off = [f"{name} ({each.column})" for name, each in config.thresholds.items()
           if each.column not in made]  # fmt: skip
    if off:
        log.info("Off, as nothing measures it: %s.", ", ".join(off))


def summary(done: Curated, out: Path) -> Sequence[str]:
    """Lines that say what became of the videos."""
    bad = [row for row in done.videos if row["problem"] is not None]
    seconds = sum(row["duration_s"] or 0.0 for row in done.videos)
    kept = [row for row in done.clips if row[DROPPED_BY] is None]
    lines = [f"{len(done.videos)} videos, {seconds / 3600:.2f} h; {len(bad)} set aside"]
    lines += [f"  {row['name']}: {row['problem']}" for row in bad[:10]]
    lines += [f"  and {len(bad) - 10} more, in videos.parquet"] if len(bad) > 10 else []
    lines.append(f"{len(done.clips)} clips")
    dropped = Counter(row[DROPPED_BY] for row in done.clips if row[DROPPED_BY] is not None)
    lines += [f"  {count:7d} dropped by {name}" for name, count in dropped.most_common()]
    hours = sum(row["seconds"] for row in kept) / 3600
    lines.append(f"  {len(kept):7d} kept, {hours:.2f} h; best: {sum(row['best'] for row in kept)}")
    if seconds:
        each = sorted(done.seconds.items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {3600 * taken / seconds:,.0f}" for name, taken in each)
        lines.append(f"processor's seconds for an hour of video: {told}")
    empty = sum(not (row.get("caption") or row.get("given_caption")) for row in kept)
    if empty:
        lines.append(
            f"{empty} kept clips have no caption, which `data encode` needs: set "
            "--config.captioner.model, or write them into captions.csv"
        )
    lines.append(f"{out / CLIPS} has all scores")
    return lines
