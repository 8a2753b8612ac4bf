# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax generate`: prompts and pictures to video files."""

import argparse
import logging
import os
from pathlib import Path

import jax
import jax.numpy as jnp

from mugv_jax import config as configs
from mugv_jax import video
from mugv_jax.flow.guidance import Guidance
from mugv_jax.pipelines.mugv import MugvPipeline
from mugv_jax.pipelines.request import NEGATIVE_PROMPT, Request
from mugv_jax.pipelines.size import SIZES, STRIDE, VideoSize, parse_frames, parse_size
from mugv_jax.pipelines.windows import Tiling
from mugv_jax.pipelines.zoo import Zoo
from mugv_jax.sharding.mesh import parse_mesh

log = logging.getLogger(__name__)

COMPILE_CACHE = "~/.cache/mugv_jax/compiled"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command; defaults are those of the released pipeline."""
    parser.add_argument("prompt", nargs="+", help="what to show; several make several videos")
    parser.add_argument(
        "--output",
        "-o",
        default="outputs/video.mp4",
        help="video file; several prompts number it (video_0.mp4, ...) [%(default)s]",
    )
    models = parser.add_argument_group("models")
    models.add_argument(
        "--weights", help="folder or Hugging Face repository with dit.pt and vae.pt (or converted)"
    )
    models.add_argument("--text-encoder", help="T5 folder or repository [beside the weights]")
    models.add_argument("--tokenizer", help="tokenizer folder or repository [beside T5]")
    models.add_argument("--config", help="sizes file: checks --weights, needed by --random-weights")
    models.add_argument(
        "--random-weights", action="store_true", help="seeded random weights: the picture is noise"
    )
    models.add_argument("--dtype", choices=("bfloat16", "float32"), help="[by device]")
    models.add_argument("--mesh", default="", help="devices per axis, such as data=2,tensor=4")
    models.add_argument(
        "--vae-tile", type=int, metavar="PIXELS", help="run the VAE on square tiles, to save memory"
    )
    models.add_argument("--compile-cache", default=COMPILE_CACHE, help="folder [%(default)s]")

    size = parser.add_argument_group("size")
    names = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in SIZES.items())
    size.add_argument(
        "--size", default="portrait", help=f"WIDTHxHEIGHT in pixels, width first, or {names}"
    )
    size.add_argument("--frames", default="5s", help="8k+1, or 3s (73), 5s (105) [%(default)s]")
    size.add_argument("--fps", type=float, default=20.0, help="of the file [%(default)s]")

    given = parser.add_argument_group("given frames")
    given.add_argument("--image", help="first frame")
    given.add_argument("--last-image", help="last frame")
    given.add_argument(
        "--keyframe", action="append", default=[], metavar="FRAME=IMAGE", help="any frame, from 0"
    )
    given.add_argument("--continue-video", metavar="VIDEO", help="go on where this video ends")
    given.add_argument("--continue-frames", type=int, default=17, help="8k+1 [%(default)s]")
    given.add_argument("--init-video", metavar="VIDEO", help="start from this video, noised")
    given.add_argument(
        "--strength", type=float, default=0.6, help="how much noise, 0-1 [%(default)s]"
    )

    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--steps", type=int, default=25, help="[%(default)s]")
    sampling.add_argument("--guidance", type=float, default=4.0, help="1 is off [%(default)s]")
    sampling.add_argument("--guidance-rescale", type=float, default=0.0, help="0-1 [%(default)s]")
    sampling.add_argument(
        "--guidance-interval", default="0,1", help="LOW,HIGH times with guidance [%(default)s]"
    )
    sampling.add_argument(
        "--guidance-together",
        action="store_true",
        help="both forwards as one batch: faster on small videos, more memory",
    )
    sampling.add_argument("--negative-prompt", default=NEGATIVE_PROMPT)
    sampling.add_argument("--conditioning-fps", type=float, default=30.0, help="[%(default)s]")
    sampling.add_argument(
        "--aesthetic-score",
        type=_score,
        default=6.0,
        help="appended; 'none' to leave [%(default)s]",
    )
    sampling.add_argument("--seed", type=int, default=42, help="of the first prompt [%(default)s]")


def run(args: argparse.Namespace) -> None:
    """Checks everything that can be checked, then loads, samples and writes."""
    request = _request(args)
    outputs = [video.prepare_output(path) for path in output_paths(args.output, len(args.prompt))]
    cache = Path(args.compile_cache).expanduser()
    jax.config.update("jax_compilation_cache_dir", os.fspath(cache))
    pipeline = MugvPipeline(_zoo(args), tiling=_tiling(args.vae_tile))
    if args.random_weights:
        log.warning("random weights: the video is noise, it shows that everything runs.")
    for path, made in zip(outputs, pipeline.run(request)):
        made.save(path)
        log.info("wrote %s: %d frames at %g per second", path, len(made.frames), made.fps)


def output_paths(output: str, count: int) -> list[Path]:
    """`output` itself for one video; numbered before the suffix for several."""
    path = Path(output)
    if count == 1:
        return [path]
    return [path.with_stem(f"{path.stem}_{number}") for number in range(count)]


def _request(args: argparse.Namespace) -> Request:
    width, height = parse_size(args.size)
    return Request(
        prompts=tuple(args.prompt),
        size=VideoSize(width_px=width, height_px=height, frames=parse_frames(args.frames)),
        image=args.image,
        last_image=args.last_image,
        keyframes=dict(map(_keyframe, args.keyframe)),
        continue_video=args.continue_video,
        continue_frames=args.continue_frames,
        init_video=args.init_video,
        strength=args.strength,
        steps=args.steps,
        guidance=Guidance(
            scale=args.guidance,
            rescale=args.guidance_rescale,
            interval=_interval(args.guidance_interval),
            together=args.guidance_together,
        ),
        negative_prompt=args.negative_prompt,
        fps=args.fps,
        conditioning_fps=args.conditioning_fps,
        aesthetic_score=args.aesthetic_score,
        seed=args.seed,
    )


def _zoo(args: argparse.Namespace) -> Zoo:
    config = None if args.config is None else configs.load(args.config)
    options = {
        "mesh": parse_mesh(args.mesh),
        "dtype": None if args.dtype is None else jnp.dtype(args.dtype),
    }
    if args.random_weights:
        if config is None:
            raise ValueError("--random-weights needs --config, such as configs/mugv_debug.py.")
        if args.weights is not None:
            raise ValueError("--weights and --random-weights exclude each other: give one.")
        return Zoo.random(config, **options)
    if args.weights is None:
        raise ValueError(
            "no weights: give --weights FOLDER (published or converted files), or "
            "--random-weights --config configs/mugv_debug.py to try things out."
        )
    return Zoo.from_pretrained(
        args.weights,
        text_encoder=args.text_encoder,
        tokenizer=args.tokenizer,
        expected=config,
        **options,
    )


def _tiling(tile_px: int | None) -> Tiling | None:
    if tile_px is None:
        return None
    if tile_px < 8 * STRIDE:
        raise ValueError(f"vae tile={tile_px} must be at least {8 * STRIDE} pixels.")
    return Tiling(rows=tile_px // STRIDE, columns=tile_px // STRIDE)


def _score(text: str) -> float | None:
    return None if text.lower() == "none" else float(text)


def _keyframe(text: str) -> tuple[int, str]:
    frame, equals, path = text.partition("=")
    if not equals or not frame.lstrip("-").isdigit():
        raise ValueError(f"keyframe {text!r} must be FRAME=IMAGE, such as 48=middle.png.")
    return int(frame), path


def _interval(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"guidance interval {text!r} must be LOW,HIGH, such as 0.2,0.8.") from None
    return low, high
