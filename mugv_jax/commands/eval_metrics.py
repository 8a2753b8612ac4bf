# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that measure videos against references."""

import argparse
import contextlib
from pathlib import Path
from typing import Any

from mugv_jax.commands.options import (
    Group,
    add_output,
    add_overwrite,
    add_path,
    add_value,
    local_path,
    path_text,
)
from mugv_jax.commands.post_folders import add_shards, shards_of
from mugv_jax.data.replacing import replacing
from mugv_jax.eval.measures import Measures
from mugv_jax.eval.measuring import ANSWERS, FILES, Settings
from mugv_jax.files import check_output_folder, user_path
from mugv_jax.video.optical_flow import DIS, check_flow, flow_by
from mugv_jax.weights.digests import file_digest


def add_metrics(parser: argparse.ArgumentParser, folder: str) -> None:
    """Add the options that `settings_of`, `measures_of` and `anew` read.

    folder: default of --output.
    """
    add_output(
        parser,
        "folder of answers, scores.json, table.md and pictures; answers that are there already "
        "are kept [%(default)s]",
        "FOLDER",
        type=local_path,
        required=False,
        default=Path(folder),
    )
    add_overwrite(parser, "measure everything anew, also with other settings")
    group = parser.add_argument_group("metrics")
    lpips = (
        "weights of LPIPS on VGG16 in one file, or VGG16 and the linear weights in two with a "
        "comma between them [no LPIPS and FloLPIPS]"
    )
    add_path(group, "--lpips", lpips, "FILES")
    raft = "weights of torchvision's raft_large, for flow by RAFT [flow by DIS, without weights]"
    add_path(group, "--raft", raft, "FILE")
    pictures = "worst clips of each row and resolution whose frames are written as pictures"
    add_value(group, "--pictures", Settings.pictures, pictures, metavar="N")
    add_value(
        group, "--max-bad", Settings.max_bad, "leave out at most N clips that cannot be used",
        metavar="N",
    )  # fmt: skip
    add_shards(group, "clips")


def resolutions(text: str) -> tuple[int, ...]:
    """Type of an option that lists short sides of videos in pixels."""
    try:
        return tuple(int(each.removesuffix("p")) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be short sides in pixels, such as 256,480"
        ) from None


def named(text: str) -> tuple[str | None, str]:
    """Type of an option NAME=PATH, or PATH; a path with = in it is one if it exists."""
    name, equals, path = path_text(text).partition("=")
    if not equals or not name.strip() or "/" in name or user_path(text).exists():
        return None, text
    return name.strip(), path_text(path)


def add_resolutions(group: Group, text: str, default: tuple[int, ...]) -> None:
    """Add --resolutions; `text` says what happens without it."""
    sides = f"short sides in pixels, to which videos are scaled down; never enlarged [{text}]"
    group.add_argument(
        "--resolutions", type=resolutions, metavar="N[,N]", default=default, help=sides
    )


def settings_of(args: argparse.Namespace, what: str, about: dict[str, Any]) -> Settings:
    """Settings of a measurement; the options are checked before anything is read.

    what: heads the rows of the table.
    about: what answers depend on, besides the metrics.

    Raises:
        ValueError: options out of range, missing packages or files.
    """
    check_output_folder(args.output)
    check_flow(args.raft)
    index, count = shards_of(args)
    files = args.lpips.split(",") if args.lpips else []
    metrics = {
        "lpips": ",".join(file_digest(user_path(file.strip())) for file in files) or None,
        "flow": file_digest(user_path(args.raft)) if args.raft else DIS,
    }
    return Settings(
        about={**metrics, **about},
        what=what,
        pictures=args.pictures,
        max_bad=args.max_bad,
        shard_index=index,
        shard_count=count,
    )


def measures_of(args: argparse.Namespace) -> Measures:
    """The metrics of the options.

    Raises:
        ValueError: files that are no weights of LPIPS.
    """
    return Measures(args.lpips, flow_by(args.raft))


def anew(args: argparse.Namespace) -> contextlib.AbstractContextManager[object]:
    """Context in which --output lacks all files of a measurement if it is made anew."""
    if args.overwrite:
        return replacing(args.output, FILES, proof=ANSWERS)
    return contextlib.nullcontext()
