# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax generate`: prompts and pictures to video files."""

import argparse
import dataclasses
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from mugv_jax import contact_sheet, video
from mugv_jax.commands.models import add_models, flag, tiling_of, zoo_of
from mugv_jax.commands.runtime import (
    keep_compiled,
    log_peak_memory,
    out_of_memory,
    path_text,
)
from mugv_jax.flow.guidance import Guidance
from mugv_jax.pipelines.defaults import Defaults, read_defaults
from mugv_jax.pipelines.mugv import MugvPipeline
from mugv_jax.pipelines.pretrained import demo_weights
from mugv_jax.pipelines.request import NEGATIVE_PROMPT, Request, read_given
from mugv_jax.pipelines.size import SIZES, parse_frames, parse_size
from mugv_jax.video import Video

log = logging.getLogger(__name__)

DESCRIPTION = """Make videos from prompts and pictures.

Without --weights, those of the demo are used: a small model that comes with the package.
Defaults are those of the released pipeline. Weights may bring their own for what is marked *, in a
defaults.json beside them, as those of the demo do."""
EXAMPLES = """examples:
  mugv-jax generate --contact-sheet outputs/star.png "a red star moves left"
  mugv-jax generate --weights MUG-V/MUG-V-inference --image product.png "a woman in a white dress"
  mugv-jax generate --weights weights --size 1280x720 --frames 3s -o boat.mp4 "a red paper boat"
  mugv-jax generate --random-weights --config configs/mugv_debug.py --size 64x64 --frames 9 "noise"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "prompt",
        nargs="+",
        help="what to show, in words; several, side by side, make several videos",
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
    parser.add_argument(
        "--upscale",
        type=int,
        default=1,
        metavar="N",
        help="enlarge the frames in the file, for players that show small ones small [%(default)s]",
    )
    parser.add_argument(
        "--contact-sheet",
        type=path_text,
        metavar="FILE",
        help="also write some frames of each video, side by side, as a picture (.png)",
    )
    add_models(parser)
    _add_size(parser)
    _add_given(parser)
    _add_sampling(parser)


def _add_size(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("size")
    names = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in SIZES.items())
    group.add_argument(
        "--size",
        default=argparse.SUPPRESS,
        help=f"WIDTHxHEIGHT in pixels, multiples of 8, or {names} [portrait*]",
    )
    group.add_argument(
        "--frames",
        default=argparse.SUPPRESS,
        help="8k+1 (9, 17, 25, ...), or 8k without a first frame, or 3s (73), 5s (105) [5s*]",
    )
    group.add_argument(
        "--fps",
        type=float,
        default=argparse.SUPPRESS,
        help=f"frames per second of the file [{Request.fps}*]",
    )


def _add_given(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("given frames (cut and scaled to the size)")
    group.add_argument("--image", type=path_text, help="the first frame")
    group.add_argument("--last-image", type=path_text, metavar="IMAGE", help="the last frame")
    group.add_argument(
        "--keyframe",
        action="append",
        default=[],
        metavar="FRAME=IMAGE",
        help="any frame, counted from 0, such as 48=middle.png; may be given several times",
    )
    group.add_argument(
        "--continue-video", type=path_text, metavar="VIDEO", help="go on where this video ends"
    )
    group.add_argument(
        "--continue-frames",
        type=int,
        metavar="N",
        help=f"how many of its last frames to begin with, 8k+1 [{Request.continue_frames}]",
    )
    group.add_argument(
        "--init-video", type=path_text, metavar="VIDEO", help="start from this video, noised"
    )
    group.add_argument(
        "--strength",
        type=float,
        metavar="X",
        help=f"how much it is noised, above 0 and up to 1 [{Request.strength}]",
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "--steps", type=int, default=argparse.SUPPRESS, help=f"of denoising [{Request.steps}*]"
    )
    group.add_argument(
        "--shift",
        type=_shift,
        default=argparse.SUPPRESS,
        metavar="RATIO",
        help="of the steps towards noise; 1 spaces them evenly, auto goes by the video's size "
        "[auto*]",
    )
    group.add_argument("--seed", type=int, default=42, help="of the first prompt [%(default)s]")
    group.add_argument(
        "--guidance",
        type=float,
        default=argparse.SUPPRESS,
        metavar="SCALE",
        help=f"how strongly the prompt pulls; 1 is off and twice as fast [{Guidance.scale}*]",
    )
    group.add_argument(
        "--guidance-rescale",
        type=float,
        default=0.0,
        metavar="X",
        help="0 to 1: tames the contrast that strong guidance makes [%(default)s]",
    )
    group.add_argument(
        "--guidance-interval",
        default="0,1",
        metavar="LOW,HIGH",
        help="times with guidance, 1 is pure noise, 0 the video; the steps outside take one "
        "evaluation instead of two [%(default)s]",
    )
    group.add_argument(
        "--reuse-threshold",
        type=float,
        default=0.0,
        metavar="X",
        help="go without an evaluation until the model's input has changed by so much: 0.1 halves "
        "the evaluations, 0 makes all [%(default)s]",
    )
    group.add_argument(
        "--guidance-together",
        action="store_true",
        help="both forwards as one batch: faster on small videos, more memory",
    )
    group.add_argument(
        "--negative-prompt",
        default=argparse.SUPPRESS,
        metavar="TEXT",
        help="what to steer away from; an empty one guides away from no text at all "
        f"[{NEGATIVE_PROMPT}*]",
    )
    group.add_argument(
        "--conditioning-fps",
        type=float,
        default=argparse.SUPPRESS,
        metavar="FPS",
        help=f"what the model is told [{Request.conditioning_fps}*]",
    )
    group.add_argument(
        "--aesthetic-score",
        type=_score,
        default=argparse.SUPPRESS,
        metavar="SCORE",
        help="0 to 10, appended to the prompt as in training; none to append nothing "
        f"[{Request.aesthetic_score}*]",
    )


def run(args: argparse.Namespace) -> None:
    """Checks everything that can be checked, then loads, samples and writes.

    Raises:
        ValueError: a mistake of the user, or a video that does not fit in memory.
    """
    if args.upscale < 1:
        raise ValueError(f"upscale={args.upscale} must be a whole number from 1 up.")
    own = args.weights is not None or args.random_weights
    if not own:
        args.weights = demo_weights()
    request = _request(args, Defaults() if args.random_weights else read_defaults(args.weights))
    given = read_given(request)
    outputs = [video.prepare_output(path) for path in output_paths(args.output, len(args.prompt))]
    if args.contact_sheet is not None:
        video.prepare_output(args.contact_sheet, contact_sheet.SUFFIXES)
    cache = keep_compiled(args.compile_cache)
    pipeline = MugvPipeline(zoo_of(args), tiling=tiling_of(args.vae_tile))
    if not own:
        log.info("No --weights, so the demo model is used. It knows %s.", _demo_words())
    if args.random_weights:
        log.warning("The weights are random: the picture will be noise.")
    if cache is not None:
        log.info("The first step compiles, unless %s holds the program already.", cache)
    with out_of_memory(
        "ask for a smaller --size or fewer --frames, split the work over devices with --mesh, or, "
        "if it was the VAE, give --vae-tile 512"
    ):
        _write(args, outputs, pipeline.run(request, given))
    log_peak_memory()


def _write(args: argparse.Namespace, outputs: Sequence[Path], videos: Iterable[Video]) -> None:
    """Each video as it is made, then the contact sheet of all."""
    rows = []
    for path, made in zip(outputs, videos, strict=True):
        _enlarged(made, args.upscale).save(path)
        log.info("wrote %s: %d frames at %g per second", path, len(made.frames), made.fps)
        if args.contact_sheet is not None:
            rows.append(contact_sheet.sheet_row(made.frames))
    if rows:
        contact_sheet.write_contact_sheet(args.contact_sheet, rows)
        log.info("wrote %s", args.contact_sheet)


def _enlarged(made: Video, factor: int) -> Video:
    if factor == 1:
        return made
    height, width = (factor * side for side in made.frames.shape[1:3])
    return Video(video.fit(made.frames, height, width), made.fps)


def _demo_words() -> str:
    """What the demo's prompts may speak of."""
    from mugv_jax.data.demo_world.scene import WORLDS

    world = WORLDS["small"]
    return "; ".join(
        f"the {what} {', '.join(words)}"
        for what, words in (
            ("shapes", world.shapes),
            ("colours", world.colours),
            ("motions", world.motions),
        )
    )


def output_paths(output: str, count: int) -> list[Path]:
    """`output` itself for one video; numbered before the suffix for several."""
    path = Path(output)
    if count == 1:
        return [path]
    return [path.with_stem(f"{path.stem}_{number}") for number in range(count)]


def _request(args: argparse.Namespace, defaults: Defaults) -> Request:
    for option, owner in (("continue_frames", "continue_video"), ("strength", "init_video")):
        if getattr(args, option) is not None and getattr(args, owner) is None:
            raise ValueError(f"{flag(option)} says how to use {flag(owner)}: give both or none.")
    options = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(Defaults)
        if hasattr(args, field.name)
    }
    for name, parse in (("size", parse_size), ("frames", parse_frames)):
        if name in options:
            options[name] = parse(options[name])
    for name in ("continue_frames", "strength"):
        if getattr(args, name) is not None:
            options[name] = getattr(args, name)
    options["guidance"] = Guidance(
        scale=options.get("guidance", defaults.guidance),
        rescale=args.guidance_rescale,
        interval=_interval(args.guidance_interval),
        together=args.guidance_together,
    )
    return defaults.request(
        tuple(args.prompt),
        image=args.image,
        last_image=args.last_image,
        keyframes=_keyframes(args.keyframe),
        continue_video=args.continue_video,
        init_video=args.init_video,
        reuse_threshold=args.reuse_threshold,
        seed=args.seed,
        **options,
    )


def _shift(text: str) -> float | None:
    try:
        return None if text.lower() == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0, or auto") from None


def _score(text: str) -> float | None:
    try:
        return None if text.lower() == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a number from 0 to 10, or none"
        ) from None


def _keyframes(texts: Sequence[str]) -> dict[int, str]:
    keyframes: dict[int, str] = {}
    for text in texts:
        frame, equals, path = text.partition("=")
        if not frame.removeprefix("-").isdecimal() or not equals or not path:
            raise ValueError(f"keyframe {text!r} must be FRAME=IMAGE, such as 48=middle.png.")
        if int(frame) in keyframes:
            raise ValueError(f"keyframe {int(frame)} is given twice.")
        keyframes[int(frame)] = path
    return keyframes


def _interval(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"guidance interval {text!r} must be LOW,HIGH, such as 0.2,0.8.") from None
    return low, high
