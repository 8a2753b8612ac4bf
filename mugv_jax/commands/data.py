# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax data`: encodes videos and captions into training samples, packs and describes them."""

import argparse
import contextlib
import functools
import logging
import sys

from mugv_jax import config as configs
from mugv_jax.bounds import require_at_least
from mugv_jax.commands import curate, review_clips, serve_samples
from mugv_jax.commands.encoding import (
    add_clips,
    add_encoders,
    add_work,
    encode_config,
    load_encoders,
)
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_path,
    add_value,
    local_path,
)
from mugv_jax.commands.runtime import keep_compiled, out_of_memory
from mugv_jax.commands.training import add_config, read_config
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.caption_field import CaptionField
from mugv_jax.data.column_field import ColumnField
from mugv_jax.data.encode import encode
from mugv_jax.data.encoded import FILES
from mugv_jax.data.fields import Fields, LatentField, NumberField, TextField, flow_fields
from mugv_jax.data.replacing import replacing
from mugv_jax.data.samples import CSV
from mugv_jax.files import SAMPLES, check_output_folder
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from mugv_jax.systems.system import find

log = logging.getLogger(__name__)

ENCODE = (
    "Encode videos and pictures with captions into training samples. Run the command again to "
    "continue an interrupted run."
)
ENCODE_EXAMPLES = """examples:
  mugv-jax data encode captions.csv --weights weights --size 1280x720 -o samples
  mugv-jax data encode captions.jsonl --weights weights --pixels 230400 --fps 24 -o samples
  mugv-jax data encode captions.csv --model contentv --weights ByteDance/ContentV-8B \
    --size 16:9 -o samples
  mugv-jax data encode captions.csv ... --shard-index 3 --shard-count 8     on the fourth of eight
"""
PACK = "Pack training samples into ArrayRecord files, which TFDS opens too."
SERVE = "Encode samples for trainers while they train, which read them as server://HOST:PORT."
CURATE = "Curate raw videos into a balanced set of clips, with a report."
REVIEW = "Write a list of curated clips for people to judge."
DESCRIBE = "Show the shapes that a run would train on, and how often it would use the samples."
STATISTICS = (LATENT_SHIFT, LATENT_SCALE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    _add_encode(
        actions.add_parser("encode", help=ENCODE, description=ENCODE, epilog=ENCODE_EXAMPLES)
    )
    _add_pack(actions.add_parser("pack", help=PACK, description=PACK))
    serve_samples.add_arguments(actions.add_parser("serve", help=SERVE, description=SERVE))
    curate.add_arguments(actions.add_parser("curate", help=CURATE, description=curate.HELP))
    review_clips.add_arguments(
        actions.add_parser("review", help=REVIEW, description=review_clips.HELP)
    )
    _add_describe(actions.add_parser("describe", help=DESCRIBE, description=DESCRIBE))


def _add_encode(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_encode)
    captions = (
        ".csv, .tsv or .jsonl with the path (or file_name) and caption (or text) of each file, and "
        "optionally its id, fps and short_caption; or a folder with a .txt beside each file"
    )
    add_path(parser, "captions", captions, "CAPTIONS", type=local_path)
    output = "folder of the samples; those that are there already are not encoded again"
    add_output(parser, output, "FOLDER", type=local_path)
    add_overwrite(parser, "encode everything anew, also with other settings")
    add_clips(parser)
    add_work(parser)
    add_encoders(parser)


def _add_pack(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_pack)
    add_path(parser, "src", "a train.csv, or its folder", "SRC")
    add_path(parser, "dst", "folder to write", "DST")
    shards = "number of files [chosen from the size]"
    parser.add_argument("--shards", type=int, metavar="N", help=shards)
    dtypes = "float32, or bfloat16, which is half as large"
    add_value(parser, "--latent-dtype", "float32", dtypes, metavar="DTYPE")
    for name, text in (
        ("--latent", "latents of column NAME_path too, such as the loser of a pair"),
        (
            "--text",
            "text states of column NAME_feat_path too, such as text_short; cells may be empty",
        ),
        ("--number", "numbers of column NAME too, such as labels"),
        ("--caption", "captions of column NAME too, which some rewards read"),
        ("--column", "texts of column NAME too, which some scorers read"),
    ):
        parser.add_argument(
            name,
            action="append",
            default=[],
            metavar="NAME",
            help=f"pack the {text}; may be given several times",
        )
    add_value(
        parser, "--max-bad", 0, "leave out at most N samples that cannot be read", metavar="N"
    )
    add_overwrite(parser, "replace DST, once the new one is complete")


def _add_describe(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_describe)
    add_config(parser, "that of the run; --config.data.FIELD=VALUE sets a field of it")
    shards = "parts that the mesh splits a batch into, data x fsdp"
    add_value(parser, "--shards", 1, shards, metavar="N")


def _encode(args: argparse.Namespace) -> None:
    config = encode_config(args)
    if args.overwrite and config.shard_count > 1:
        raise ValueError(
            f"--overwrite: {config.shard_count} processes share the folder, and none may remove "
            "what the others write; remove it before they start."
        )
    keep_compiled(args.compile_cache)
    models = load_encoders(args)
    if args.random_weights:
        log.warning("The weights are random: nothing can be learnt from these samples.")
    check_output_folder(args.output, SAMPLES)
    anew = replacing(args.output, FILES, proof=CSV) if args.overwrite else contextlib.nullcontext()
    memory = "make --pixels or --size, or --text-batch, smaller, or give --vae-tile 512"
    with out_of_memory(memory), anew:
        done = encode(args.captions, args.output, models, config)
    log.info("%s: %d samples done here, %d in train.csv.", args.output, done.finished, done.rows)
    _warn_of_bad(done.bad)


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
    texts = [TextField(name, optional=True) for name in args.text]
    numbers = [NumberField(name) for name in args.number]
    captions = [CaptionField(name) for name in args.caption]
    columns = [ColumnField(name, length=2**16) for name in args.column]
    others = (*latents, *texts, *numbers, *captions, *columns)
    return (*flow_fields(statistics=STATISTICS), *others)


def _describe(args: argparse.Namespace) -> None:
    from mugv_jax.data.describe import describe_source  # imports Grain, which takes seconds
    from mugv_jax.train.diffusion import opened
    from mugv_jax.train.train_config import from_config_dict

    require_at_least(1, args, "shards")
    config = read_config(configs.read(args.config), args.overrides, from_config_dict)
    dit, lines = config.dit, []
    for name, source in opened(config, configs.asked(args.overrides)).items():
        if name:
            lines.append(f"source {name}, {source.share} batches in a cycle:")
        lines += describe_source(
            source.samples,
            source.data,
            shards=args.shards,
            tokens=functools.partial(find(config.system).costs.tokens, dit),
            patch=dit.patch,
        )
    sys.stdout.write("\n".join(lines) + "\n")


def _warn_of_bad(bad: tuple[str, ...]) -> None:
    if bad:
        log.warning("%s", listed(bad, "file was skipped", "files were skipped"))
