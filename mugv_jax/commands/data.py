# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax data`: encodes videos and captions into training samples, packs and describes them."""

import argparse
import functools
import logging
import sys
from pathlib import Path

import jax

from mugv_jax import config as configs
from mugv_jax.commands.model_options import add_models, load_models, tiling_of
from mugv_jax.commands.runtime import keep_compiled, out_of_memory, path_text
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.clips import ClipRule
from mugv_jax.data.encode import EncodeConfig, encode
from mugv_jax.data.fields import Fields, LatentField, NumberField, flow_fields
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from mugv_jax.systems.mugv.cost import dit_tokens
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.systems.mugv.size import SIZES, parse_frames, parse_size
from mugv_jax.systems.mugv.system import SYSTEM

log = logging.getLogger(__name__)

DEFAULT_PIXELS = 1280 * 720
ENCODE = (
    "Encode videos and pictures with captions into training samples. Run the command again to "
    "continue an interrupted run."
)
ENCODE_EXAMPLES = """examples:
  mugv-jax data encode captions.csv --weights weights --size 1280x720 --out samples
  mugv-jax data encode captions.jsonl --weights weights --pixels 230400 --fps 24 --out samples
  mugv-jax data encode captions.csv ... --shard-index 3 --shard-count 8     on the fourth of eight
"""
PACK = "Pack training samples into ArrayRecord files, which TFDS opens too."
DESCRIBE = "Show the shapes that a run would train on, and how often it would use the samples."
STATISTICS = (LATENT_SHIFT, LATENT_SCALE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    _add_encode(actions.add_parser("encode", help=ENCODE, allow_abbrev=False))
    _add_pack(actions.add_parser("pack", help=PACK, allow_abbrev=False))
    _add_describe(actions.add_parser("describe", help=DESCRIBE, allow_abbrev=False))


def _add_encode(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = ENCODE, ENCODE_EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(action_run=_encode)
    parser.add_argument(
        "captions",
        type=path_text,
        metavar="CAPTIONS",
        help=".csv, .tsv or .jsonl with the path (or file_name) and caption (or text) of each "
        "file, and optionally its id and fps; or a folder with a .txt beside each file",
    )
    parser.add_argument(
        "--out", type=path_text, required=True, metavar="FOLDER", help="folder of the samples"
    )
    _add_clips(parser)
    _add_work(parser)
    add_models(parser)


def _add_clips(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clips")
    size = group.add_mutually_exclusive_group()
    names = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in SIZES.items())
    size.add_argument(
        "--size",
        help=f"WIDTHxHEIGHT that frames are scaled and cropped to, multiples of 16, or {names}",
    )
    size.add_argument(
        "--pixels",
        type=int,
        metavar="N",
        help=f"keep the aspect ratio of frames, with at most N pixels [{DEFAULT_PIXELS}]",
    )
    group.add_argument(
        "--fps",
        type=float,
        default=ClipRule.fps,
        help="frame rate that videos are read at; slower videos are read at their own rate "
        "[%(default)s]",
    )
    group.add_argument(
        "--max-frames",
        default="5s",
        metavar="N",
        help="longest clip, which is the first 8k+1 frames of a video: a number, 3s (73) or 5s "
        "(105) [%(default)s]",
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("work")
    group.add_argument(
        "--sample-posterior",
        action="store_true",
        help="draw latents from the VAE's posterior [take its mean]",
    )
    group.add_argument("--seed", type=int, help="seed of --sample-posterior [0]")
    group.add_argument(
        "--text-batch",
        type=int,
        default=EncodeConfig.text_batch,
        metavar="N",
        help="captions that T5 encodes at once [%(default)s]",
    )
    group.add_argument(
        "--threads",
        type=int,
        default=EncodeConfig.threads,
        metavar="N",
        help="files that are decoded ahead and held in memory [%(default)s]",
    )
    group.add_argument(
        "--max-bad",
        type=int,
        default=EncodeConfig.max_bad,
        metavar="N",
        help="skip at most N files that cannot be used [%(default)s]",
    )
    group.add_argument(
        "--shard-index", type=int, metavar="I", help="number of this process, from 0"
    )
    group.add_argument(
        "--shard-count", type=int, metavar="N", help="number of processes that share the list [1]"
    )


def _add_pack(parser: argparse.ArgumentParser) -> None:
    parser.description = PACK
    parser.set_defaults(action_run=_pack)
    parser.add_argument("src", type=path_text, metavar="SRC", help="a train.csv, or its folder")
    parser.add_argument("dst", type=path_text, metavar="DST", help="folder to write")
    parser.add_argument(
        "--shards", type=int, metavar="N", help="number of files [chosen from the size]"
    )
    parser.add_argument(
        "--latent-dtype",
        default="float32",
        metavar="DTYPE",
        help="float32, or bfloat16, which is half as large [%(default)s]",
    )
    parser.add_argument(
        "--latent",
        action="append",
        default=[],
        metavar="NAME",
        help="pack the latents of column NAME_path too, such as the loser of a pair; may be given "
        "several times",
    )
    parser.add_argument(
        "--number",
        action="append",
        default=[],
        metavar="NAME",
        help="pack the numbers of column NAME too, such as labels; may be given several times",
    )
    parser.add_argument(
        "--max-bad",
        type=int,
        default=0,
        metavar="N",
        help="leave out at most N samples that cannot be read [%(default)s]",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DST once complete")


def _add_describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIBE
    parser.set_defaults(action_run=_describe, overrides=())
    parser.add_argument(
        "--config",
        required=True,
        metavar="FILE",
        help="config of the run; --config.data.FIELD=VALUE sets a field of it",
    )
    parser.add_argument(
        "--shards",
        type=int,
        default=1,
        metavar="N",
        help="parts that the mesh splits a batch into, data x fsdp [%(default)s]",
    )


def run(args: argparse.Namespace) -> None:
    """Run `mugv-jax data` with parsed options.

    Raises:
        ValueError: options, files or samples that cannot be used.
    """
    args.action_run(args)


def _encode(args: argparse.Namespace) -> None:
    config = _encode_config(args)
    keep_compiled(args.compile_cache)
    if args.weights is None and not args.random_weights:  # as `generate` does
        args.weights = demo_weights()
        log.info("No --weights, so the demo model is used.")
    models = load_models(args, needs_dit=False)
    if args.random_weights:
        log.warning("The weights are random: nothing can be learnt from these samples.")
    with out_of_memory("make --pixels or --size, or --text-batch, smaller, or give --vae-tile 512"):
        done = encode(Path(args.captions).expanduser(), Path(args.out).expanduser(), models, config)
    log.info("%s: %d samples done here, %d in train.csv.", args.out, done.finished, done.rows)
    _warn_of_bad(done.bad)


def _encode_config(args: argparse.Namespace) -> EncodeConfig:
    if (args.shard_index is None) != (args.shard_count is None):
        raise ValueError("--shard-index and --shard-count: give both or none.")
    if args.seed is not None and not args.sample_posterior:
        raise ValueError("--seed is that of --sample-posterior: give both or none.")
    size = None if args.size is None else parse_size(args.size)
    clip = ClipRule(
        fps=args.fps,
        size=size,
        pixels=DEFAULT_PIXELS if args.pixels is None and size is None else args.pixels,
        max_frames=parse_frames(args.max_frames),
    )
    return EncodeConfig(
        clip=clip,
        posterior_seed=(args.seed or 0) if args.sample_posterior else None,
        text_batch=args.text_batch,
        threads=args.threads,
        max_bad=args.max_bad,
        shard_index=jax.process_index() if args.shard_index is None else args.shard_index,
        shard_count=jax.process_count() if args.shard_count is None else args.shard_count,
        tiling=tiling_of(args.vae_tile, SYSTEM),
    )


def _pack(args: argparse.Namespace) -> None:
    from mugv_jax.data.pack import pack  # imports TFDS, which takes seconds

    bad = pack(
        args.src,
        args.dst,
        _pack_fields(args),
        shards=args.shards,
        latent_dtype=args.latent_dtype,
        max_bad=args.max_bad,
        overwrite=args.overwrite,
    )
    log.info("wrote %s", args.dst)
    _warn_of_bad(bad)


def _pack_fields(args: argparse.Namespace) -> Fields:
    """Fields of flow matching, followed by those of the options."""
    latents = [LatentField(name, statistics=STATISTICS) for name in args.latent]
    numbers = [NumberField(name) for name in args.number]
    return (*flow_fields(statistics=STATISTICS), *latents, *numbers)


def _describe(args: argparse.Namespace) -> None:
    from mugv_jax.data.describe import describe_source  # imports Grain, which takes seconds
    from mugv_jax.data.open import open_all
    from mugv_jax.train import objectives
    from mugv_jax.train.train_config import from_config_dict

    if args.shards < 1:
        raise ValueError(f"--shards={args.shards} must be at least 1.")
    config = from_config_dict(configs.override(configs.read(args.config), args.overrides))
    dit = config.dit
    fields = objectives.objective(config.objective.name).fields(config)
    lines = describe_source(
        open_all(config.data.paths, fields),
        config.data,
        shards=args.shards,
        tokens=functools.partial(dit_tokens, dit),
        patch=dit.patch,
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _warn_of_bad(bad: tuple[str, ...]) -> None:
    if bad:
        log.warning("%s", listed(bad, "file was skipped", "files were skipped"))
