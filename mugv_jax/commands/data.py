# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax data`: from videos and captions to what training reads."""

import argparse
import logging
import sys
from pathlib import Path

import jax

from mugv_jax import config as configs
from mugv_jax.commands.model_options import add_models, load_models, tiling_of
from mugv_jax.commands.runtime import keep_compiled, out_of_memory, path_text
from mugv_jax.data.clips import ClipRule
from mugv_jax.data.encode import EncodeConfig, encode
from mugv_jax.data.published import listed
from mugv_jax.systems.mugv.size import SIZES, parse_frames, parse_size
from mugv_jax.systems.mugv.system import SYSTEM

log = logging.getLogger(__name__)

DEFAULT_PIXELS = 1280 * 720
ENCODE = "Encode videos and pictures with captions into training samples; run again to go on."
ENCODE_EXAMPLES = """examples:
  mugv-jax data encode captions.csv --weights weights --size 1280x720 --out samples
  mugv-jax data encode captions.jsonl --weights weights --pixels 230400 --fps 24 --out samples
  mugv-jax data encode captions.csv ... --shard-index 3 --shard-count 8     on the fourth of eight
"""
PACK = "Pack training samples into ArrayRecord files, which TFDS opens too."
DESCRIBE = "Tell the shapes that a run would train on, and how it would use the samples."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of all subcommands."""
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
        help=".csv or .jsonl with path and caption, and perhaps id and fps, of each file",
    )
    parser.add_argument(
        "--out", type=path_text, required=True, metavar="FOLDER", help="of the samples"
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
        help=f"frames keep their shape, with at most so many pixels [{DEFAULT_PIXELS}]",
    )
    group.add_argument(
        "--fps",
        type=float,
        default=ClipRule.fps,
        help="frames per second that videos are read at; slower ones at their own [%(default)s]",
    )
    group.add_argument(
        "--max-frames",
        default="5s",
        metavar="N",
        help="a clip is the longest 8k+1 frames from the start, up to these, or 3s (73), 5s (105) "
        "[%(default)s]",
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("work")
    group.add_argument(
        "--sample-posterior",
        action="store_true",
        help="store a sample of the VAE's posterior [its mean]",
    )
    group.add_argument("--seed", type=int, help="of --sample-posterior [0]")
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
        help="files that are decoded ahead, and held in memory [%(default)s]",
    )
    group.add_argument(
        "--max-bad",
        type=int,
        default=EncodeConfig.max_bad,
        metavar="N",
        help="skip at most so many files that cannot be used [%(default)s]",
    )
    group.add_argument(
        "--shard-index", type=int, metavar="I", help="this process of several, from 0"
    )
    group.add_argument(
        "--shard-count", type=int, metavar="N", help="how many processes share the list [1]"
    )


def _add_pack(parser: argparse.ArgumentParser) -> None:
    parser.description = PACK
    parser.set_defaults(action_run=_pack)
    parser.add_argument("src", type=path_text, metavar="SRC", help="a train.csv, or its folder")
    parser.add_argument("dst", type=path_text, metavar="DST", help="folder to write")
    parser.add_argument(
        "--shards", type=int, metavar="N", help="files to write [chosen from the size]"
    )
    parser.add_argument(
        "--latent-dtype",
        default="float32",
        metavar="DTYPE",
        help="float32, or bfloat16, which is half as large [%(default)s]",
    )
    parser.add_argument(
        "--max-bad",
        type=int,
        default=0,
        metavar="N",
        help="leave out at most so many samples that cannot be read [%(default)s]",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DST once complete")


def _add_describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIBE
    parser.set_defaults(action_run=_describe, overrides=())
    parser.add_argument(
        "--config",
        required=True,
        metavar="FILE",
        help="of the run; --config.data.FIELD=VALUE sets fields of it",
    )
    parser.add_argument(
        "--shards",
        type=int,
        default=1,
        metavar="N",
        help="parts that a batch lies in: the mesh's data x fsdp [%(default)s]",
    )


def run(args: argparse.Namespace) -> None:
    """`mugv-jax data` with parsed options.

    Raises:
        ValueError: a mistake of the user.
    """
    args.action_run(args)


def _encode(args: argparse.Namespace) -> None:
    config = _encode_config(args)
    keep_compiled(args.compile_cache)
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
    from mugv_jax.data.pack import pack  # TFDS: seconds to import

    bad = pack(
        args.src,
        args.dst,
        shards=args.shards,
        latent_dtype=args.latent_dtype,
        max_bad=args.max_bad,
        overwrite=args.overwrite,
    )
    log.info("wrote %s", args.dst)
    _warn_of_bad(bad)


def _describe(args: argparse.Namespace) -> None:
    from mugv_jax.data.describe import describe_source  # Grain: seconds to import
    from mugv_jax.data.select import open_all
    from mugv_jax.train.train_config import from_config_dict

    if args.shards < 1:
        raise ValueError(f"--shards={args.shards} must be at least 1.")
    config = from_config_dict(configs.override(configs.read(args.config), args.overrides))
    lines = describe_source(
        open_all(config.data.paths),
        config.data,
        shards=args.shards,
        patch=config.dit.patch,
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _warn_of_bad(bad: tuple[str, ...]) -> None:
    if bad:
        log.warning("%s", listed(bad, "file was skipped", "files were skipped"))
