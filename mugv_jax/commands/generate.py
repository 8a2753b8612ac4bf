# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax generate`: makes video files from prompts and pictures."""

import argparse
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from mugv_jax import video
from mugv_jax.commands import enhancing, like
from mugv_jax.commands.model_options import add_models
from mugv_jax.commands.options import add_path, add_value, flag, path_text
from mugv_jax.commands.runtime import keep_compiled, log_peak_memory, out_of_memory
from mugv_jax.commands.sampling import add_sampling, add_size, generators
from mugv_jax.systems import NAMES
from mugv_jax.systems.record import with_after
from mugv_jax.video import Video, contact_sheet

log = logging.getLogger(__name__)

DESCRIPTION = """Make videos from prompts and pictures.

Without --weights the demo is used, a small model that comes with the package. Defaults are those
of the released pipelines. A defaults.json beside MUG-V's weights, as in the demo, may replace
those marked *."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    weights = [f"{name} {each.WEIGHTS}" for name, each in generators().items() if each.WEIGHTS]
    examples = "".join(module.EXAMPLES for module in generators().values())
    parser.description, parser.epilog = DESCRIPTION, f"examples:\n{examples}"
    parser.add_argument(
        "prompt",
        nargs="*",
        help="description of the video; several prompts make several videos",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=path_text,
        default="outputs/video.mp4",
        metavar="FILE",
        help=f"video file ({', '.join(video.CONTAINERS)}); several prompts number it: video_0.mp4, "
        "video_1.mp4, ... [%(default)s]",
    )
    upscale = "enlarge the frames in the file, for players that do not"
    add_value(parser, "--upscale", 1, upscale, metavar="N")
    like.add_arguments(parser)
    sheet = "also write some frames of each video, side by side, as a picture (.png)"
    add_path(parser, "--contact-sheet", sheet, "FILE")
    parser.add_argument(
        "--model",
        choices=tuple(generators()),
        default=NAMES[0],
        help="; ".join(["[%(default)s]", *weights]),
    )
    add_models(parser)
    add_size(parser, _defaults)
    add_sampling(parser, _defaults)
    enhancing.add_arguments(parser)
    for module in generators().values():
        module.add_arguments(parser)


def _defaults(option: str) -> str:
    """Text for --help with an option's default for every model."""
    return "; ".join(f"{name}: {module.DEFAULTS[option]}" for name, module in generators().items())


def run(args: argparse.Namespace) -> None:
    """Check all options, then load models, sample and write.

    Raises:
        ValueError: options or files that cannot be used, or a video that does not fit in memory.
    """
    args = like.applied(args)
    if not args.prompt:
        raise ValueError("no prompt: describe the video in words, or give --like FILE.")
    _refuse_foreign(args)
    make_videos = generators()[args.model].prepare(args)
    enhance = enhancing.prepare(args)
    outputs = [video.prepare_output(path) for path in output_paths(args.output, len(args.prompt))]
    if args.contact_sheet is not None:
        video.prepare_output(args.contact_sheet, contact_sheet.SUFFIXES)
    cache = keep_compiled(args.compile_cache)
    videos = make_videos()
    if args.random_weights:
        log.warning("The weights are random: the picture will be noise.")
    if cache is not None:
        log.info("The first step compiles, unless %s holds the program already.", cache)
    with out_of_memory(
        "ask for a smaller --size or fewer --frames, split the work over devices with --mesh, or, "
        "if it was the VAE, give --vae-tile 512"
    ):
        _write(args, outputs, map(enhance, videos))
    log_peak_memory()


def _refuse_foreign(args: argparse.Namespace) -> None:
    """Raise a ValueError for a given option that belongs to another model."""
    own = generators()[args.model].OPTIONS
    for name, module in generators().items():
        for option in (each for each in module.OPTIONS if each not in own):
            default = args.parser.get_default(option)
            if getattr(args, option, default) != default:
                raise ValueError(
                    f"{flag(option)} is of --model {name}: {args.model} has no use for it."
                )


def _write(args: argparse.Namespace, outputs: Sequence[Path], videos: Iterable[Video]) -> None:
    """Write each video as it is made, then the contact sheet of all."""
    rows, sheet = [], args.contact_sheet
    records = []
    for path, made in zip(outputs, videos, strict=True):
        made = _enlarged(made, args.upscale)
        made.record = None if args.no_metadata else made.record
        records.append(made.record)
        made.save(path)
        log.info("wrote %s: %d frames at %g per second", path, len(made.frames), made.fps)
        if sheet is not None:
            rows.append(contact_sheet.sheet_row(made.frames))
    if rows and sheet is not None:
        record = {"videos": records} if all(records) else None
        contact_sheet.write_contact_sheet(sheet, rows, record)
        log.info("wrote %s", sheet)


def _enlarged(made: Video, factor: int) -> Video:
    if factor == 1:
        return made
    height, width = (factor * side for side in made.frames.shape[1:3])
    return Video(
        video.fit(made.frames, height, width), made.fps, with_after(made.record, upscale=factor)
    )


def output_paths(output: str, count: int) -> list[Path]:
    """Files to write: `output` for one video, numbered before the suffix for several."""
    path = Path(output)
    if count == 1:
        return [path]
    return [path.with_stem(f"{path.stem}_{number}") for number in range(count)]
