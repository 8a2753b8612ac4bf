# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax generate --like FILE`: repeats what the record in a video or picture says.

The record becomes options, which are parsed before those that were given: these therefore count
first, and values of a record are checked as those of a user are. Files of a record are used only
if they are on this machine: whoever made the video must not choose what is downloaded.
"""

import argparse
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.bounds import require_sane
from mugv_jax.commands.options import Group, add_path, flag
from mugv_jax.commands.records import record_in
from mugv_jax.commands.sampling import generators
from mugv_jax.files import shortened, user_path
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.pretrained import local_folder
from mugv_jax.systems.record import different_weights, digest_or_none, options_of, runtime_notes

log = logging.getLogger(__name__)

PLACES = ("dit", "text_encoder", "tokenizer")  # of weights that a user may give apart
AUTOMATIC = {"shift": "auto", "times": "auto", "aesthetic_score": "none"}  # texts of None


def add_arguments(group: Group) -> None:
    """Add the option --like, and the one that leaves the record out."""
    text = "repeat a video or picture that mugv-jax made; options that are given replace its own"
    add_path(group, "--like", text, "FILE")
    group.add_argument(
        "--no-metadata",
        action="store_true",
        help="do not write prompt, settings and paths into the files",
    )


def applied(args: argparse.Namespace) -> argparse.Namespace:
    """Options with those of the record that --like names; the same options without --like.

    Raises:
        ValueError: no usable record, or inputs, adapters or weights that are missing or changed.
    """
    if args.like is None:
        return args
    record, where = record_in(args.like), str(args.like)
    videos = record.get("videos")
    if isinstance(videos, list):
        if len(videos) != 1 or not isinstance(videos[0], dict):
            raise ValueError(f"{where}: shows {len(videos)} videos: name the file of one of them.")
        (record,) = videos
    system = shortened(str(record.get("system")))
    if system not in generators():
        raise ValueError(
            f"{where}: was made by {system}, which generates nothing: give the video that it was "
            "made from, or see `mugv-jax info`."
        )
    arguments = args.parser.in_own_names(args.arguments).arguments  # those of others were noted
    given = {each.partition("=")[0] for each in arguments if each.startswith("--")}
    options = list(_options(args, record, where, given))
    prompt = [] if args.prompt or args.prompts else ["--", _text(record, "prompt", where)]
    parsed = args.parser.parse_args([*options, *arguments, *prompt])
    for name, value in vars(parsed).items():
        require_sane(name, value)
    made = argparse.Namespace(**{**vars(args), **vars(parsed)})
    made.repeated = record
    rows = _group(record, "settings").get("rows")
    if rows is not None:
        made.rows = rows
    return made


def compare(args: argparse.Namespace, models: Any) -> None:
    """Say in what the weights, the device or the versions differ from those of --like."""
    record = getattr(args, "repeated", None)
    if record is None:
        return
    differing = different_weights(record, models)
    if differing:
        log.warning(
            "%s: was made with other weights (%s), so the frames will differ.",
            args.like, ", ".join(differing),
        )  # fmt: skip
    for note in runtime_notes(record, models):
        log.warning("%s: %s", args.like, note)


def _options(
    args: argparse.Namespace, record: Mapping[str, Any], where: str, given: set[str]
) -> Iterator[str]:
    """Command-line options of a record."""
    inputs = {each: name for each, name in INPUT_FLAGS.items() if each in given}
    options = options_of(record, where, without=tuple(inputs.values()))
    yield f"--model={_text(record, 'system', where)}"
    for name, value in options.items():
        yield from _written(name, value)
    yield from _weights(args, record, where, given)
    runtime = _group(record, "runtime")
    for name in ("dtype", "quantize", "vae_tile"):
        if runtime.get(name) is not None:
            yield f"{flag(name)}={runtime[name]}"
    mesh = ",".join(f"{axis}={count}" for axis, count in _group(runtime, "mesh").items())
    if mesh:
        yield f"--mesh={mesh}"
    for name, value in _group(runtime, "kernels").items():
        if name in ("attention", "modulation") and value is not None:
            yield f"{flag(name)}={value}"
    after = _group(record, "after")
    if "upscale" in after:
        yield f"--upscale={after['upscale']}"
    if "enhance" in after:
        enhancer = _group(_group(after, "enhance"), "given")
        yield "--enhance"
        for name, option in (("weights", "--enhancer"), ("wan", "--wan")):
            if enhancer.get(name) is not None and option not in given:
                yield f"{option}={_local(enhancer[name], option, where)}"


# Options of inputs, and their names in a record.
INPUT_FLAGS = {
    "--image": "image",
    "--last-image": "last_image",
    "--continue-video": "continue_video",
    "--init-video": "init_video",
    "--keyframe": "keyframes",
}


def _written(name: str, value: Any) -> Iterator[str]:
    """An option of `generate` as the command line has it."""
    if name == "rows":
        return
    if name == "fast_decode":
        yield from [flag(name)] * value
    elif name == "size":
        yield f"--size={value[0]}x{value[1]}"
    elif name == "keyframes":
        yield from (f"--keyframe={frame}={path}" for frame, path in value.items())
    elif isinstance(value, bool):
        yield f"{flag(name)}={'on' if value else 'off'}"
    elif isinstance(value, list):
        yield f"{flag(name)}={','.join(map(str, value))}"
    elif isinstance(value, Guidance):
        yield f"--guidance={value.scale}"
        yield f"--guidance-rescale={value.rescale}"
        yield f"--guidance-interval={','.join(map(str, value.interval))}"
        if value.together:
            yield "--guidance-together"
        if value.skip_steps:
            raise ValueError("steps without guidance are set in Python only: repeat it there.")
    else:
        yield f"{flag(name)}={AUTOMATIC[name] if value is None else value}"


def _weights(
    args: argparse.Namespace, record: Mapping[str, Any], where: str, given: set[str]
) -> Iterator[str]:
    """Options of the weights and adapters of a record."""
    stated = _group(record, "weights")
    used, digests = _group(stated, "given"), _group(stated, "digests")
    if "random" in used and not args.random_weights:
        raise ValueError(
            f"{where}: was made with random weights: give --random-weights and its --config."
        )
    if not {"--weights", "--random-weights"} & given:
        for name in ("weights", *PLACES):
            if used.get(name) is not None and flag(name) not in given:
                yield f"{flag(name)}={_local(used[name], flag(name), where)}"
    if "--lora" in given:
        return
    pairs = used.get("lora") or []
    for number, pair in enumerate(pairs if isinstance(pairs, list) else [pairs], start=1):
        if not (isinstance(pair, list) and len(pair) == 2):
            raise ValueError(f"{where}: its record has a damaged adapter: {shortened(str(pair))}.")
        path, scale = _local(pair[0], "--lora", where), pair[1]
        name = f"lora {number}" if number > 1 else "lora"
        if digest_or_none(path) != digests.get(name):
            raise ValueError(f"{where}: the adapter {path} has changed since: give --lora anew.")
        yield f"--lora={path}:{scale}"
    if used.get("lora_alpha") is not None and "--lora-alpha" not in given:
        yield f"--lora-alpha={used['lora_alpha']}"


def _local(path: Any, option: str, where: str) -> str:
    """A path or repository of a record, if this machine has it.

    Raises:
        ValueError: it has not.
    """
    remedy = f"give {option} to say where they are"
    if not isinstance(path, str) or not path.strip():
        raise ValueError(f"{where}: its record names no {option}: {remedy}.")
    if not user_path(path).exists():
        try:
            local_folder(path, (), download=False)
        except ValueError as error:
            raise ValueError(
                f"{where}: was made with {shortened(path)}, which this machine does not have: "
                f"{remedy}."
            ) from error
    return path


def _text(record: Mapping[str, Any], name: str, where: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{where}: its record has no {name}.")
    return value


def _group(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return dict(value) if isinstance(value, Mapping) else {}
