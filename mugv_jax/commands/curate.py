# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax data curate`: raw videos to a balanced set of clips, with a report."""

import argparse
import contextlib
import logging
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mugv_jax import config as configs
from mugv_jax.commands.options import add_output, add_overwrite, add_path, local_path
from mugv_jax.commands.training import OVERRIDES, read_config
from mugv_jax.config_files import names
from mugv_jax.curate import review
from mugv_jax.curate.run import (
    CLIPS,
    FILES,
    PARTS,
    REPORT,
    SETTINGS,
    VIDEOS,
    Curated,
    check_places,
    curate,
)
from mugv_jax.curate.settings import CurateConfig, from_config_dict, is_of_curation
from mugv_jax.curate.stage import Row
from mugv_jax.curate.thresholds import DROPPED_BY
from mugv_jax.data.replacing import replacing
from mugv_jax.files import SAMPLES, check_output_folder
from mugv_jax.progress import amount

log = logging.getLogger(__name__)

GROUP, DEFAULT = "curate", "curate/default"
MOST_TOLD = 10  # files that are named
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
    raw = (
        "folder of videos, or .csv, .tsv or .jsonl with path, and optionally id, source, licence "
        "and caption"
    )
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
    check_places(args.raw, args.output, overwrite=args.overwrite)
    config = _config(args)
    check_output_folder(args.output, SAMPLES)
    if not (args.output / SETTINGS).is_file():
        _say_what_is_off(config)
    anew = contextlib.nullcontext()
    if args.overwrite:
        anew = replacing(args.output, FILES, proof=PARTS)
    with anew:
        done = curate(args.raw, args.output, config, args.workers, args.labels, options_of(args))
    sys.stdout.write("\n".join(summary(done, args.output)) + "\n")


def _config(args: argparse.Namespace) -> CurateConfig:
    """The config that the options name.

    Raises:
        ValueError: there is none of this name, it is no config of curation, or it is mistaken.
    """
    values = configs.read(args.config, GROUP)
    if not is_of_curation(values):
        known = ", ".join(name for name in names() if name.startswith(f"{GROUP}/"))
        raise ValueError(
            f"--config {args.config} is no config of curation; those of the package are {known}."
        )
    return read_config(values, args.overrides, from_config_dict)


def options_of(args: argparse.Namespace) -> list[str]:
    """The options of a run that another one with the same result needs, as a shell reads them."""
    made = [] if args.config == DEFAULT else [f"--config {shlex.quote(str(args.config))}"]
    made += [] if args.labels is None else [f"--labels {shlex.quote(str(args.labels))}"]
    return made + [shlex.quote(each) for each in args.overrides]


def _say_what_is_off(config: CurateConfig) -> None:
    """Log the thresholds that have no column to look at, as no model was given."""
    people = {*review.WRITES}
    off = [name for name, each in config.thresholds.items()
           if each.column not in config.measured | people]  # fmt: skip
    if off:
        log.info(
            "Thresholds that are off, as no model measures them: %s (docs/curation.md).",
            ", ".join(off),
        )


def summary(done: Curated, out: Path) -> Sequence[str]:
    """Lines that say what became of the videos."""
    seconds = sum(row["duration_s"] or 0.0 for row in done.videos)
    kept = [row for row in done.clips if row[DROPPED_BY] is None]
    lines = [*_of_videos(done.videos, seconds), f"{amount(len(done.clips), 'clip')}"]
    dropped = Counter(row[DROPPED_BY] for row in done.clips if row[DROPPED_BY] is not None)
    by_count = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    lines += [f"  {count:7d} dropped by {name}" for name, count in by_count]
    length = duration(sum(row["seconds"] for row in kept))
    lines.append(f"  {len(kept):7d} kept, {length}; best: {sum(row['best'] for row in kept)}")
    if seconds:
        each = sorted(done.seconds.items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {3600 * taken / seconds:,.0f}" for name, taken in each)
        lines.append(f"processor's seconds for an hour of video: {told}")
    lines += _of_captions(done.clips, kept)
    lines.append(f"{out / REPORT} shows all of it, and {out / CLIPS} has all scores")
    if kept:
        lines.append(f"next: mugv-jax data encode {shlex.quote(str(out))} --output samples")
    return lines


def _of_videos(videos: Sequence[Row], seconds: float) -> list[str]:
    """Lines about the files, and those that are damaged."""
    bad = [f"{row['name']}: {row['problem']}" for row in videos if row["problem"] is not None]
    cut = [
        f"{row['name']}: {duration(row['duration_s'])} of {duration(row['stated_s'])}"
        for row in videos
        if row["problem"] is None and row["stated_s"] is not None
    ]
    lines = [f"{amount(len(videos), 'video')}, {duration(seconds)}; {len(bad)} set aside"]
    lines += _some(bad)
    if cut:
        lines.append(f"{amount(len(cut), 'video')} cut off before the end; what is there was used")
        lines += _some(cut)
    return lines


def _some(lines: Sequence[str]) -> list[str]:
    """The first few lines, indented."""
    more = [f"  and {len(lines) - MOST_TOLD} more, in {VIDEOS}"] if len(lines) > MOST_TOLD else []
    return [f"  {line}" for line in lines[:MOST_TOLD]] + more


def _of_captions(clips: Sequence[Row], kept: Sequence[Row]) -> list[str]:
    """Lines about kept clips without a caption of their own."""
    pieces = Counter(row["video"] for row in clips)
    without = [row for row in kept if not row.get("caption")]
    shared = [row for row in without if row["video_caption"] and pieces[row["video"]] > 1]
    empty = sum(not row["video_caption"] for row in without)
    lines = []
    if shared:
        of = amount(len({row["video"] for row in shared}), "video")
        lines.append(
            f"{amount(len(shared), 'kept clip')} of {of} cut into several have the text of the "
            "whole video as caption; --config.captioner.model describes each clip"
        )
    if empty:
        lines.append(
            f"{amount(empty, 'kept clip')} without a caption, which `data encode` needs: set "
            "--config.captioner.model, or write them into captions.csv"
        )
    return lines


def duration(seconds: float) -> str:
    """A length of video in words: "12.0 s", "2.4 min", "3.25 h"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"
