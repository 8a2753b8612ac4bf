# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax generate`: prompts and pictures to video files."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from mugv_jax import video
from mugv_jax.commands.models import add_models, flag, tiling_of, zoo_of
from mugv_jax.commands.runtime import (
    keep_compiled,
    log_peak_memory,
    out_of_memory,
    path_text,
)
from mugv_jax.flow.guidance import Guidance
from mugv_jax.pipelines.mugv import MugvPipeline
from mugv_jax.pipelines.request import NEGATIVE_PROMPT, Request, read_given
from mugv_jax.pipelines.size import SIZES, VideoSize, parse_frames, parse_size

log = logging.getLogger(__name__)

DESCRIPTION = "Make videos from prompts and pictures. Defaults are those of the released pipeline."
EXAMPLES = """examples:
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
    add_models(parser)
    _add_size(parser)
    _add_given(parser)
    _add_sampling(parser)


def _add_size(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("size")
    names = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in SIZES.items())
    group.add_argument(
        "--size",
        default="portrait",
        help=f"WIDTHxHEIGHT in pixels, multiples of 8, or {names} [%(default)s]",
    )
    group.add_argument(
        "--frames",
        default="5s",
        help="8k+1 (9, 17, 25, ...), or 8k without a first frame, or 3s (73), 5s (105) "
        "[%(default)s]",
    )
    group.add_argument(
        "--fps", type=float, default=20.0, help="frames per second of the file [%(default)s]"
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
    group.add_argument("--steps", type=int, default=25, help="of denoising [%(default)s]")
    group.add_argument("--seed", type=int, default=42, help="of the first prompt [%(default)s]")
    group.add_argument(
        "--guidance",
        type=float,
        default=4.0,
        metavar="SCALE",
        help="how strongly the prompt pulls; 1 is off and twice as fast [%(default)s]",
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
        default=NEGATIVE_PROMPT,
        metavar="TEXT",
        help="what to steer away from; an empty one guides away from no text at all [%(default)s]",
    )
    group.add_argument(
        "--conditioning-fps",
        type=float,
        default=30.0,
        metavar="FPS",
        help="what the model is told [%(default)s]",
    )
    group.add_argument(
        "--aesthetic-score",
        type=_score,
        default=6.0,
        metavar="SCORE",
        help="0 to 10, appended to the prompt as in training; none to append nothing [%(default)s]",
    )


def run(args: argparse.Namespace) -> None:
    """Checks everything that can be checked, then loads, samples and writes.

    Raises:
        ValueError: a mistake of the user, or a video that does not fit in memory.
    """
    request = _request(args)
    given = read_given(request)
    outputs = [video.prepare_output(path) for path in output_paths(args.output, len(args.prompt))]
    cache = keep_compiled(args.compile_cache)
    pipeline = MugvPipeline(zoo_of(args), tiling=tiling_of(args.vae_tile))
    if args.random_weights:
        log.warning("The weights are random: the picture will be noise.")
    if cache is not None:
        log.info("The first step compiles, unless %s holds the program already.", cache)
    with out_of_memory(
        "ask for a smaller --size or fewer --frames, split the work over devices with --mesh, or, "
        "if it was the VAE, give --vae-tile 512"
    ):
        for path, made in zip(outputs, pipeline.run(request, given), strict=True):
            made.save(path)
            log.info("wrote %s: %d frames at %g per second", path, len(made.frames), made.fps)
    log_peak_memory()


def output_paths(output: str, count: int) -> list[Path]:
    """`output` itself for one video; numbered before the suffix for several."""
    path = Path(output)
    if count == 1:
        return [path]
    return [path.with_stem(f"{path.stem}_{number}") for number in range(count)]


def _request(args: argparse.Namespace) -> Request:
    for option, owner in (("continue_frames", "continue_video"), ("strength", "init_video")):
        if getattr(args, option) is not None and getattr(args, owner) is None:
            raise ValueError(f"{flag(option)} says how to use {flag(owner)}: give both or none.")
    width, height = parse_size(args.size)
    optional = {name: getattr(args, name) for name in ("continue_frames", "strength")}
    return Request(
        prompts=tuple(args.prompt),
        size=VideoSize(width_px=width, height_px=height, frames=parse_frames(args.frames)),
        image=args.image,
        last_image=args.last_image,
        keyframes=_keyframes(args.keyframe),
        continue_video=args.continue_video,
        init_video=args.init_video,
        **{name: value for name, value in optional.items() if value is not None},
        steps=args.steps,
        guidance=Guidance(
            scale=args.guidance,
            rescale=args.guidance_rescale,
            interval=_interval(args.guidance_interval),
            together=args.guidance_together,
        ),
        reuse_threshold=args.reuse_threshold,
        negative_prompt=args.negative_prompt,
        fps=args.fps,
        conditioning_fps=args.conditioning_fps,
        aesthetic_score=args.aesthetic_score,
        seed=args.seed,
    )


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
