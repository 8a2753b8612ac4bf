# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax generate`: makes video files from prompts and pictures."""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Iterable, Sequence

from mugv_jax import video
from mugv_jax.commands import batches, enhancing, like, rewriting
from mugv_jax.commands.model_options import add_models
from mugv_jax.commands.options import add_output, add_overwrite, add_path, add_value, flag
from mugv_jax.commands.places import FOLDER, Place, places
from mugv_jax.commands.rows import COLUMNS, Row, rows_of
from mugv_jax.commands.runtime import keep_compiled, log_peak_memory, out_of_memory
from mugv_jax.commands.sampling import add_sampling, add_size, generators
from mugv_jax.systems import NAMES
from mugv_jax.systems.record import with_after
from mugv_jax.video import Video, contact_sheet

log = logging.getLogger(__name__)

DESCRIPTION = """Make videos from prompts and pictures.

Without --weights the demo is used, a small model that comes with the package. Defaults are those
of the released pipelines. A defaults.json beside MUG-V's weights, as in the demo, may replace
those marked *, and one beside --dit or --lora the same again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    examples = "".join(module.EXAMPLES for module in generators().values())
    parser.description, parser.epilog = DESCRIPTION, f"examples:\n{examples}"
    several = "description of the video; several prompts make several videos"
    parser.add_argument("prompt", nargs="*", help=several)
    rows = (
        "a text file with a prompt in each line, or a .csv, .tsv or .jsonl file with the columns "
        f"{', '.join(COLUMNS)}, of which all but prompt may be left out; rows that are made are "
        "skipped when the command is run again"
    )
    add_path(parser, "--prompts", rows, "FILE")
    output = (
        f"video file ({', '.join(video.CONTAINERS)}), which several prompts number: video_0.mp4, "
        "video_1.mp4, ...; or a folder, in which videos are named after their prompts "
        f"[{FOLDER}; of --prompts {FOLDER}/NAME]"
    )
    add_output(parser, output, "PATH", required=False)
    add_overwrite(parser, "replace videos that exist")
    like.add_arguments(parser)
    sheet = "also write some frames of each video, side by side, as a picture (.png)"
    add_path(parser, "--contact-sheet", sheet, "FILE")
    add_making(parser)


def add_making(parser: argparse.ArgumentParser) -> None:
    """Add the options of the videos, apart from prompts, files and --like."""
    upscale = "enlarge the frames in the file, for players that do not"
    add_value(parser, "--upscale", 1, upscale, metavar="N")
    weights = [f"{name} {each.WEIGHTS}" for name, each in generators().items() if each.WEIGHTS]
    parser.add_argument(
        "--model",
        choices=tuple(generators()),
        default=NAMES[0],
        help="; ".join(["[%(default)s]", *weights]),
    )
    add_models(parser)
    add_size(parser, _defaults)
    add_sampling(parser, _defaults)
    rewriting.add_arguments(parser)
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
    _refuse_foreign(args)
    found = places(args, rows_of(args))
    todo = [place for place in found if not place.kept]
    if len(todo) < len(found):
        kept = len(found) - len(todo)
        log.info("%d of %d videos exist and are kept (--overwrite makes them anew)",
                 kept, len(found))  # fmt: skip
    if not todo:
        return
    generator = generators()[args.model]
    made_of = batches.prepared(args, generator, [place.row for place in todo])
    enhance = enhancing.prepare(args)
    if args.contact_sheet is not None:
        _check_sheet(args)
    if args.rewrite is not None:  # after all options were checked
        found = _rewritten(args, found)
        todo = [place for place in found if not place.kept]
        made_of = batches.prepared(args, generator, [place.row for place in todo])
    cache = keep_compiled(args.compile_cache)
    pipeline = generator.open_pipeline(args)
    if args.random_weights:
        log.warning("The weights are random: the picture will be noise.")
    if cache is not None:
        log.info("The first step compiles, unless %s holds the program already.", cache)
    with out_of_memory(
        "ask for a smaller --size or fewer --frames, split the work over devices with --mesh, or, "
        "if it was the VAE, give --vae-tile 512"
    ):
        _write(args, found, ((row, enhance(made)) for row, made in made_of(pipeline)))
    log_peak_memory()


def _rewritten(args: argparse.Namespace, found: Sequence[Place]) -> list[Place]:
    """The places with the prompts of their rows rewritten, where a video is to be made."""
    rows = [place.row for place in found if not place.kept]
    images = [args.image if row.image is None else row.image for row in rows]
    prompts = iter(rewriting.rewritten(args, [row.prompt for row in rows], images))
    return [
        place
        if place.kept
        else dataclasses.replace(place, row=dataclasses.replace(place.row, prompt=next(prompts)))
        for place in found
    ]


def _check_sheet(args: argparse.Namespace) -> None:
    """Raise a ValueError for a contact sheet that cannot be written."""
    sheet = video.prepare_output(args.contact_sheet, contact_sheet.SUFFIXES)
    if sheet.exists() and not args.overwrite:
        raise ValueError(
            f"--contact-sheet {str(sheet)!r} exists: give --overwrite to replace it, or another "
            "name."
        )


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


def _write(
    args: argparse.Namespace, found: Sequence[Place], videos: Iterable[tuple[Row, Video]]
) -> None:
    """Write each video as it is made, then the contact sheet of all, with those that were kept."""
    shown, records, sheet = {}, {}, args.contact_sheet
    paths = {place.row: place.path for place in found}
    for row, made in videos:
        made = _enlarged(made, args.upscale)
        made.record = None if args.no_metadata else made.record
        made.save(paths[row])
        log.info("wrote %s: %d frames at %g per second", paths[row], len(made.frames), made.fps)
        if args.quiet:
            sys.stdout.write(f"{paths[row]}\n")
        if sheet is not None:
            shown[row], records[row] = contact_sheet.sheet_row(made.frames), made.record
    if sheet is not None:
        for place in (each for each in found if each.kept):
            shown[place.row] = contact_sheet.sheet_row(video.read_video(place.path).frames)
            records[place.row] = video.read_record(place.path)
        lines = contact_sheet.same_width([shown[place.row] for place in found])
        ordered = [records[place.row] for place in found]
        record = {"videos": ordered} if all(ordered) else None
        contact_sheet.write_contact_sheet(sheet, lines, record)
        log.info("wrote %s", sheet)


def _enlarged(made: Video, factor: int) -> Video:
    if factor == 1:
        return made
    height, width = (factor * side for side in made.frames.shape[1:3])
    record = with_after(made.record, upscale=factor)
    return Video(video.fit(made.frames, height, width), made.fps, record)
