# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V for `mugv-jax generate`."""

import argparse
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence

from mugv_jax.commands import like
from mugv_jax.commands.model_options import demo_unless_given, load_models, tiling_of
from mugv_jax.commands.options import (
    add_optional,
    add_path,
    add_switch,
    add_value,
    finite_number,
    flag,
    number_or,
    on_or_off,
)
from mugv_jax.commands.sampling import check_upscale, guidance_of, models_with
from mugv_jax.files import existing_file, user_path
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.mugv.defaults import Defaults, read_defaults
from mugv_jax.systems.mugv.given import GivenPixels
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import NEGATIVE_PROMPT, Request, read_given
from mugv_jax.systems.mugv.size import SIZES, parse_frames, parse_size
from mugv_jax.systems.mugv.system import SYSTEM
from mugv_jax.video import FITS, Video

log = logging.getLogger(__name__)

WEIGHTS = ""
# Texts for --help; * marks defaults that a defaults.json beside weights or adapters may replace.
DEFAULTS = {
    "size": "multiples of 8; "
    + ", ".join(f"{name} ({w}x{h})" for name, (w, h) in SIZES.items())
    + "; portrait*",
    "frames": "8k+1 (9, 17, 25, ...), 8k without a first frame, 3s (73) or 5s (105); 5s*",
    "fps": f"{Request.fps:g}*",
    "steps": f"{Request.steps}*",
    "shift": "auto*",
    "guidance": f"{Guidance.scale:g}*",
    "negative_prompt": f"{NEGATIVE_PROMPT}*",
}
EXAMPLES = """\
  mugv-jax generate --contact-sheet outputs/star.png "a red star moves left"
  mugv-jax generate --weights MUG-V/MUG-V-inference --image product.png "a woman in a white dress"
  mugv-jax generate --weights weights --size 1280x720 --frames 3s -o boat.mp4 "a red paper boat"
  mugv-jax generate --random-weights --config mugv_debug --size 64x64 --frames 9 "noise"
"""
KEYFRAMES = """A picture stands for a whole group of 8 frames (1 to 8, 9 to 16, and so on), in
which the motion pauses; only frame 0 is a group of its own, so that --image is kept exactly. Two
pictures need two groups."""
OPTIONS = (
    "text_encoder",
    "tokenizer",
    "image",
    "last_image",
    "keyframe",
    "continue_video",
    "continue_frames",
    "init_video",
    "strength",
    "fit",
    "times",
    "renoise",
    "reuse_threshold",
    "conditioning_fps",
    "aesthetic_score",
    "fast_decode",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only MUG-V has, except those of `add_models`."""
    owners = models_with("image")
    group = parser.add_argument_group(f"given frames ({owners} only)", KEYFRAMES)
    add_path(group, "--image", "the first frame", "IMAGE")
    add_path(group, "--last-image", "the last frame", "IMAGE")
    group.add_argument(
        "--keyframe",
        action="append",
        default=[],
        metavar="FRAME=IMAGE",
        help="a picture for the group of frames around frame FRAME, counted from 0, such as "
        "48=middle.png; may be given several times",
    )
    shape = (
        "what becomes of pictures and videos of another shape: crop cuts off what hangs over, pad "
        "adds bars, stretch changes the proportions"
    )
    add_value(group, "--fit", Request.fit, shape, choices=FITS)
    continued = "video to continue; its frames are taken at the times of --fps"
    add_path(group, "--continue-video", continued, "VIDEO")
    frames = f"number of its last frames to begin with, 8k+1 [{Request.continue_frames}]"
    group.add_argument("--continue-frames", type=int, metavar="N", help=frames)
    add_path(group, "--init-video", "start from this video, noised", "VIDEO")
    strength = f"noise added to it, above 0 and up to 1 [{Request.strength}]"
    group.add_argument("--strength", type=float, metavar="X", help=strength)
    add_own_sampling(parser)
    fast = (
        "decode with the tiny decoder beside the weights (docs/generation.md): far less time and "
        "memory, slightly different pictures"
    )
    group = parser.add_argument_group(f"decoding ({models_with('fast_decode')} only)")
    add_switch(group, "--fast-decode", fast)


def add_own_sampling(parser: argparse.ArgumentParser) -> None:
    """Add the options of sampling that only MUG-V has."""
    group = parser.add_argument_group(f"sampling ({models_with('reuse_threshold')} only)")
    text = (
        "times at which the model is evaluated, falling from 1, pure noise; auto takes those of "
        "--steps and --shift"
    )
    add_optional(group, "--times", "auto*", text, type=_times, metavar="T,T,...")
    text = "noise the estimated video anew between steps, as models of few steps are trained for"
    add_optional(group, "--renoise", "off*", text, type=on_or_off, metavar="on|off")
    add_value(
        group,
        "--reuse-threshold",
        0.0,
        "skip evaluations until the model's input has changed by this much: 0.1 halves the "
        "evaluations, 0 skips none",
        metavar="X",
    )
    fps, score = f"{Request.conditioning_fps:g}*", f"{Request.aesthetic_score}*"
    text = "frame rate that the model is conditioned on"
    add_optional(group, "--conditioning-fps", fps, text, type=float, metavar="FPS")
    text = "0 to 10, appended to the prompt as in training; none appends nothing"
    number = number_or("none", "a number from 0 to 10")
    add_optional(group, "--aesthetic-score", score, text, type=number, metavar="SCORE")


def _times(text: str) -> tuple[float, ...] | None:
    if text.lower() == "auto":
        return None
    return tuple(finite_number(each) for each in text.split(","))


def open_pipeline(args: argparse.Namespace) -> MugvPipeline:
    """The pipeline of the parsed options, which loads its models when they are needed.

    Raises:
        ValueError: weights that cannot be used.
    """
    own = args.dit is not None or args.lora  # which may know more
    demo_unless_given(args, "" if own else f" It knows {_demo_words()}.")
    models = load_models(args)
    if args.fast_decode:
        models.require_tiny_decoder()
    pipeline = MugvPipeline(models, tiling=tiling_of(args.vae_tile, SYSTEM))
    like.compare(args, pipeline.models)
    return pipeline


def prepare(args: argparse.Namespace) -> Callable[[MugvPipeline], Iterator[Video]]:
    """Check the request and read its pictures; the returned function samples.

    Raises:
        ValueError: options or files that cannot be used.
    """
    if args.random_weights:
        defaults = Defaults()
    else:
        weights = demo_weights() if args.weights is None else args.weights
        defaults = read_defaults(weights, dit=args.dit, lora=args.lora)
    request = _request(args, defaults)
    check_upscale(args.upscale, request.size.width_px, request.size.height_px)
    given = read_given(request)

    def make(pipeline: MugvPipeline) -> Iterator[Video]:
        if _is_demo(args):
            _warn_of_limits(args, given)
        return pipeline.run(request, given)

    return make


def _is_demo(args: argparse.Namespace) -> bool:
    """Whether the demo's own transformer is used, without adapters, which may know more."""
    named = args.weights in (None, demo_weights()) and not args.random_weights
    return named and args.dit is None and not args.lora


def _demo_words() -> str:
    """Words that prompts for the demo may use."""
    from mugv_jax.demo.world.scene import WORLDS

    world = WORLDS["small"]
    kinds = {"shapes": world.shapes, "colours": world.colours, "motions": world.motions}
    return "; ".join(f"the {kind} {', '.join(words)}" for kind, words in kinds.items())


def _warn_of_limits(args: argparse.Namespace, given: Sequence[GivenPixels]) -> None:
    """Warn of what was asked that the demo's model cannot know."""
    from mugv_jax.demo.world import limits
    from mugv_jax.demo.world.scene import WORLDS

    pictures = [clip[0] for each in given for clip in each.clips()]
    for warning in limits.warnings(args.prompt, pictures, WORLDS["small"]):
        log.warning("%s", warning)


def _request(args: argparse.Namespace, defaults: Defaults) -> Request:
    """Request of the parsed options, with `defaults` for those not given."""
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
    options["guidance"] = guidance_of(args, options.get("guidance", defaults.guidance))
    keyframes, problems = _keyframes(args.keyframe)
    try:
        request = defaults.request(
            tuple(args.prompt),
            image=args.image,
            last_image=args.last_image,
            keyframes=keyframes,
            continue_video=args.continue_video,
            init_video=args.init_video,
            fit=args.fit,
            reuse_threshold=args.reuse_threshold,
            seed=args.seed,
            rows=getattr(args, "rows", None),
            fast_decode=args.fast_decode,
            **options,
        )
    except ValueError as error:
        raise ValueError(" ".join([*problems, str(error)])) from error
    if problems:
        raise ValueError(" ".join(problems))
    return request


def _keyframes(texts: Sequence[str]) -> tuple[dict[int, str], list[str]]:
    """Paths of pictures by frame number, from texts such as "48=middle.png"; and all mistakes."""
    keyframes: dict[int, str] = {}
    problems = []
    for text in texts:
        frame, equals, path = text.partition("=")
        if not frame.isdecimal() or len(frame) > 9 or not equals or not path:
            problems.append(
                f"keyframe {text!r} must be FRAME=IMAGE, such as 48=middle.png, with frames from 0 "
                "up; --last-image is the last."
            )
            continue
        try:
            existing_file(user_path(path), f"keyframe {int(frame)}:")
        except ValueError as error:
            problems.append(str(error))
        if int(frame) in keyframes:
            problems.append(f"keyframe {int(frame)} is given twice.")
        keyframes[int(frame)] = path
    return keyframes, problems
