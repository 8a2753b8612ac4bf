# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax enhance`: restores detail in one or several videos."""

import argparse
import contextlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from mugv_jax import video
from mugv_jax.commands.model_options import (
    add_hardware,
    add_sizes,
    hardware_of,
    sizes_of,
    tiling_of,
)
from mugv_jax.commands.options import (
    Group,
    add_lora,
    add_output,
    add_overwrite,
    add_path,
    add_switch,
    add_value,
    finite_number,
)
from mugv_jax.commands.runtime import keep_compiled, log_peak_memory, out_of_memory
from mugv_jax.data.folder_lock import only_process
from mugv_jax.files import CannotWrite, user_path
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.enhancer.files import NAME, TEXT, Enhanced, Job, enhance_file, jobs_of
from mugv_jax.systems.enhancer.models import EnhancerModels
from mugv_jax.systems.enhancer.pipeline import EnhancerPipeline
from mugv_jax.systems.enhancer.request import EnhanceRequest
from mugv_jax.systems.enhancer.system import SYSTEM, EnhancerConfig

log = logging.getLogger(__name__)

REPORT = "enhanced.jsonl"  # beside the videos of a folder or list
DESCRIPTION = """Restore detail in videos, with the same frames, size, rate and sound.

Existing results are kept, so the same command resumes an interrupted run."""
EXAMPLES = """examples:
  mugv-jax enhance --weights MUG-V/MUG-V-inference --video outputs/video.mp4 -o enhanced.mp4
  mugv-jax enhance --weights weights/enhancer --video clips/ -o enhanced/ --compare
  mugv-jax enhance --weights weights/enhancer --video clips.csv -o enhanced/ --steps 4
"""
DEFAULTS = EnhanceRequest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    add_path(
        parser,
        "--video",
        f"a video, a folder of videos, or a csv or jsonl file with the columns {NAME} and "
        f"optionally {TEXT}, the prompt of each",
        "IN",
        required=True,
    )
    add_output(parser, "the video file to write, or a folder for several", "OUT")
    for name, text in (
        ("--compare", "also write NAME_compare.mp4: input and result side by side"),
        ("--blur", "halve and double the size of the input first, to show what is restored"),
        ("--no-metadata", "do not write how it was made into the file"),
    ):
        add_switch(parser, name, text)
    add_overwrite(parser, "make existing results anew")
    parser.set_defaults(failure="a video of several could not be enhanced")
    models = parser.add_argument_group("models")
    add_path(
        models,
        "--weights",
        "folder or Hugging Face repository with dit_i2v.safetensors and pytorch_model.bin, in it "
        "or in its folder enhancer, or the same converted",
    )
    add_wan(models)
    _add_lora(models)
    add_sizes(models)
    add_hardware(models)
    _add_sampling(parser)


def add_wan(group: Group) -> None:
    """Add the option --wan, the place of the files of Wan2.1."""
    add_path(
        group,
        "--wan",
        "folder or repository of Wan2.1 with the VAE, UMT5 and its tokenizer [beside the enhancer, "
        "else the published one]",
    )


def _add_lora(group: Group) -> None:
    add_lora(group, "low-rank updates [those beside the enhancer]")
    add_value(group, "--lora-scale", 1.0, "factor of all updates", metavar="X", type=finite_number)
    add_switch(
        group,
        "--lora-apart",
        "keep the updates beside the weights instead of adding them: slower, but 8-bit weights do "
        "not round them",
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    for name, text, metavar in (
        ("steps", "number of denoising steps", None),
        ("sigma", "noise to start from, above 0 and up to 1; more changes more", None),
        ("prompt", "prompt", "TEXT"),
        ("window", "number of frames processed at once, 4k+1", "FRAMES"),
        ("overlap", "frames that neighbouring windows share and blend", "FRAMES"),
        ("seed", "seed of the noise", None),
    ):
        add_value(group, f"--{name}", getattr(DEFAULTS, name), text, metavar=metavar)
    guidance = "guidance scale; 1 turns guidance off and is twice as fast"
    add_value(group, "--guidance", DEFAULTS.guidance.scale, guidance, metavar="SCALE")
    group.add_argument(
        "--negative-prompt",
        default=DEFAULTS.negative_prompt,
        metavar="TEXT",
        help="what guidance leads away from [Wan2.1's own]",
    )


def run(args: argparse.Namespace) -> int:
    """Check all options, then enhance every video; exit status 1 if one was bad.

    Raises:
        ValueError: options or files that cannot be used, or a window that does not fit in memory.
    """
    request = EnhanceRequest(
        prompt=args.prompt,
        steps=args.steps,
        sigma=args.sigma,
        guidance=Guidance(scale=args.guidance),
        negative_prompt=args.negative_prompt,
        window=args.window,
        overlap=args.overlap,
        seed=args.seed,
    )
    jobs = jobs_of(args.video, args.output, compare=args.compare)
    todo = [job for job in jobs if args.overwrite or not job.done]
    if len(todo) < len(jobs):
        log.info("%d of %d are there already (--overwrite makes them anew)",
                 len(jobs) - len(todo), len(jobs))  # fmt: skip
    if not todo:
        return 0
    # Unreadable inputs and outputs are refused before models load.
    for job in todo:
        video.prepare_output(job.output)
    several = jobs[0].source != user_path(args.video)  # a folder's or a list's
    if not several:
        with video.open_frames(jobs[0].source) as stream:
            video.check_rate(stream.fps)
    keep_compiled(args.compile_cache)
    pipeline = EnhancerPipeline(_models(args), tiling=tiling_of(args.vae_tile, SYSTEM))
    if args.random_weights:
        log.warning("The weights are random: the picture will be noise.")
    with (
        only_process(user_path(args.output)) if several else contextlib.nullcontext(),
        out_of_memory(
            "give --vae-tile 512, a smaller --window, or split the work over devices with --mesh"
        ),
    ):
        bad = _enhance_all(
            pipeline, todo, request, blur=args.blur, several=several, traced=not args.no_metadata
        )
    log_peak_memory()
    for path, reason in bad:
        log.error("not enhanced: %s: %s", path, reason)
    return 1 if bad else 0


def _enhance_all(
    pipeline: EnhancerPipeline,
    jobs: Sequence[Job],
    request: EnhanceRequest,
    *,
    blur: bool,
    several: bool,
    traced: bool,
) -> list[tuple[Path, str]]:
    """Enhance every video; returns errors of videos that could not be read.

    Raises:
        ValueError: a single given video cannot be read, or an output cannot be written.
    """
    prompts = {job.prompt or request.prompt for job in jobs}
    pipeline.read([*sorted(prompts), request.negative_prompt])
    bad = []
    with pipeline.loaded():
        for job in jobs:
            try:
                made, note = enhance_file(pipeline, job, request, blur=blur, traced=traced)
            except ValueError as error:
                if not several or isinstance(error, CannotWrite):
                    raise
                bad.append((job.source, str(error)))
                continue
            if note is not None:
                log.warning("%s", note)
            log.info("wrote %s: %d frames at %g per second; PSNR to the input %.2f dB",
                     job.output, made.frames, made.fps, made.psnr)  # fmt: skip
            if several:
                _report(job, made)
    return bad


def _report(job: Job, made: Enhanced) -> None:
    """Append a line to the folder's report."""
    line = {"source": str(job.source), "output": str(job.output), "frames": made.frames,
            "fps": made.fps, "psnr": round(made.psnr, 4)}  # fmt: skip
    with (job.output.parent / REPORT).open("a") as file:
        file.write(json.dumps(line) + "\n")


def _models(args: argparse.Namespace) -> EnhancerModels:
    config = sizes_of(args, SYSTEM, files=("weights", "wan", "lora"))
    if args.random_weights:
        assert isinstance(config, EnhancerConfig)
        return EnhancerModels.random(config, **hardware_of(args))
    return EnhancerModels.from_pretrained(
        args.weights,
        wan=args.wan,
        lora=args.lora,
        lora_alpha=args.lora_alpha,
        lora_scale=args.lora_scale,
        lora_merged=not args.lora_apart,
        expected=config,
        **hardware_of(args),
    )
