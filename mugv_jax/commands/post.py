# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax post`: samples of a model, their labels, and preference pairs for post-training."""

import argparse
import dataclasses
import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from mugv_jax.commands import post_reverse
from mugv_jax.commands.generate_mugv import DEFAULTS, add_own_sampling
from mugv_jax.commands.model_options import (
    add_models,
    defaults_of,
    load_models,
    tiling_of,
)
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_path,
    add_switch,
    add_value,
    finite_number,
    local_path,
)
from mugv_jax.commands.post_folders import add_shards, anew, quoted, say_training, shards_of
from mugv_jax.commands.runtime import keep_compiled, log_peak_memory, out_of_memory
from mugv_jax.commands.sampling import add_sampling, add_size, guidance_of
from mugv_jax.data.published import ID
from mugv_jax.data.samples import CSV
from mugv_jax.data.whole_files import write_whole
from mugv_jax.files import SAMPLES, check_output_folder, check_writable
from mugv_jax.post.demo import DemoScorer
from mugv_jax.post.folder import FILES, LABELS, Row, read_rows
from mugv_jax.post.labels import (
    COMBINED,
    Label,
    Labels,
    combined,
    labels_bytes,
    read_labels,
)
from mugv_jax.post.pairs import (
    PairRule,
    binary,
    choose_pairs,
    real_pairs,
    write_binary,
    write_pairs,
)
from mugv_jax.post.prompts import read_prompts
from mugv_jax.post.reward import RewardScorer, option_value
from mugv_jax.post.sampling import KEPT, SampleConfig, sample
from mugv_jax.post.scoring import score_samples
from mugv_jax.systems.mugv.defaults import Defaults
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request
from mugv_jax.systems.mugv.size import parse_frames, parse_size
from mugv_jax.systems.mugv.system import SYSTEM
from mugv_jax.train.rewards import REGISTERED, make_reward
from mugv_jax.train.scoring import Scorer, Weighting
from mugv_jax.weights.staging import refuse_existing

log = logging.getLogger(__name__)

# Name of --by -> scorer, besides the reward models.
SCORERS: dict[str, Callable[[], Scorer]] = {"demo": DemoScorer}

SAMPLE = "Sample several videos of each prompt, as training samples. The same command resumes."
SAMPLE_EXAMPLES = """examples:
  mugv-jax post sample demo/train/captions.csv --count 4 --batch 64 -o samples
  mugv-jax post sample prompts.txt --count 4 --weights weights --dit runs/sft -o samples
  mugv-jax post sample prompts.txt ... --shard-index 3 --shard-count 8     on the fourth of eight
"""
LABEL = "Score every sample with a program, or check and combine the labels of people."
LABEL_EXAMPLES = """examples:
  mugv-jax post label samples --by demo
  mugv-jax post label samples --by demo --part motion -o samples/motion.csv
  mugv-jax post label samples --by pickscore --with folder=PickScore_v1 --with "frames=(0, 8)"
  mugv-jax post label samples --by my_rewards:sharpness -o samples/sharp.csv
  mugv-jax post label samples --by ratings.csv --bounds 1,5 --combine majority
"""
PAIRS = "Make preference pairs, or samples labelled desirable or not, out of labelled samples."
PAIRS_EXAMPLES = """examples:
  mugv-jax post pairs samples -o pairs
  mugv-jax post pairs samples --labels samples/motion.csv --margin 0.5 --per-prompt 2 -o pairs
  mugv-jax post pairs samples --binary --threshold 1 -o binary
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    for name, text, examples, add in (
        ("sample", SAMPLE, SAMPLE_EXAMPLES, _add_sample),
        ("label", LABEL, LABEL_EXAMPLES, _add_label),
        ("pairs", PAIRS, PAIRS_EXAMPLES, _add_pairs),
        ("reverse", post_reverse.DESCRIPTION, post_reverse.EXAMPLES, post_reverse.add_arguments),
    ):
        add(actions.add_parser(name, help=text, description=text, epilog=examples))


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_sample)
    prompts = (
        "a text file with a prompt in each line, or a .csv, .tsv or .jsonl file with the column "
        "caption and optionally id; further columns are kept with every sample"
    )
    add_path(parser, "prompts", prompts, "PROMPTS", type=local_path)
    add_output(parser, "folder of the samples", "SAMPLES", type=local_path)
    add_overwrite(parser, "make all samples anew, also with other settings")
    parser.add_argument(
        "--count", type=int, required=True, metavar="K", help="videos of each prompt"
    )
    add_value(parser, "--batch", SampleConfig.batch, "videos computed together", metavar="N")
    kept = "form in which frames are kept; lossless is exact and large"
    add_value(parser, "--videos", SampleConfig.videos, kept, choices=tuple(KEPT))
    add_shards(parser, "prompts")
    add_size(parser, DEFAULTS.__getitem__)
    add_sampling(parser, DEFAULTS.__getitem__)
    add_own_sampling(parser)
    add_models(parser)


def _add_label(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_label)
    add_path(parser, "samples", "folder of `mugv-jax post sample`", "SAMPLES", type=local_path)
    by = (
        f"{', '.join(SCORERS)}; a reward model, {', '.join(REGISTERED)} or a Python function as "
        "module:function; or a .csv file of labels: id, rater, score (and parts), or win, lose, "
        "rater (and tie)"
    )
    parser.add_argument("--by", required=True, metavar="NAME|CSV", help=by)
    option = "option of a reward model, such as folder=FOLDER; may be given several times"
    parser.add_argument(
        "--with", dest="options", action="append", type=_option, metavar="NAME=VALUE", default=[],
        help=option,
    )  # fmt: skip
    add_value(parser, "--batch", 32, "videos judged together", metavar="N")
    out = f"file of labels [SAMPLES/{LABELS}]"
    add_output(parser, out, "CSV", type=local_path, required=False)
    add_overwrite(parser, "replace the file")
    part = "part that the score is made of, with its weight; may be given several times [all, 1]"
    parser.add_argument(
        "--part", action="append", type=_part, metavar="NAME[=WEIGHT]", default=[], help=part
    )
    bounds = "smallest and largest score in a file of labels, such as 1,5 [none]"
    parser.add_argument("--bounds", type=_bounds, metavar="LOW,HIGH", help=bounds)
    how = "how scores of several raters become one"
    add_value(parser, "--combine", COMBINED[0], how, choices=COMBINED)


def _add_pairs(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_pairs)
    add_path(parser, "samples", "folder of `mugv-jax post sample`", "SAMPLES", type=local_path)
    add_path(parser, "--labels", f"file of labels [SAMPLES/{LABELS}]", "CSV", type=local_path)
    add_output(parser, "folder of the pairs", "PAIRS", type=local_path)
    add_overwrite(parser, "replace the pairs in --output")
    margin = "smallest difference of scores of a pair; smaller ones are ties"
    add_value(parser, "--margin", PairRule.margin, margin, type=finite_number, metavar="M")
    add_value(parser, "--ties", "drop", "what becomes of ties", choices=("drop", "keep"))
    most = "largest number of pairs of one prompt"
    add_value(parser, "--per-prompt", PairRule.per_prompt, most, metavar="N")
    add_value(parser, "--seed", PairRule.seed, "seed of the choice among pairs")
    real = "samples of `mugv-jax data encode` whose ids are those of prompts: they win"
    add_path(parser, "--real", real, "FOLDER", type=local_path)
    add_switch(parser, "--binary", "write single samples, desirable or not, in place of pairs")
    threshold = "smallest score of a desirable sample [1: all parts are right]"
    parser.add_argument("--threshold", type=finite_number, metavar="T", help=threshold)


def _sample(args: argparse.Namespace) -> None:
    index, count = shards_of(args)
    config = SampleConfig(
        count=args.count,
        batch=args.batch,
        seed=args.seed,
        videos=args.videos,
        shard_index=index,
        shard_count=count,
    )
    prompts = read_prompts(args.prompts)
    check_output_folder(args.output, SAMPLES)
    pipeline, request = _opened(args)
    memory = "give a smaller --batch, --size or --frames"
    with out_of_memory(memory), anew(args, FILES):
        done = sample(prompts, args.output, pipeline, request, config)
    log.info("%s: %d samples made, %d of %d here are finished, %d in %s.",
             args.output, done.made, done.finished, done.finished, done.rows, CSV)  # fmt: skip
    log_peak_memory()
    log.info("To label them: mugv-jax post label %s --by NAME|CSV", quoted(args.output))


def _opened(args: argparse.Namespace) -> tuple[MugvPipeline, Request]:
    """Pipeline and request of the options; models stay loaded, for every batch uses all."""
    request = _request(args, defaults_of(args))
    tiling = tiling_of(args.vae_tile, SYSTEM)
    keep_compiled(args.compile_cache)
    models = dataclasses.replace(load_models(args), keep_loaded=True)
    return MugvPipeline(models, tiling=tiling), request


def _request(args: argparse.Namespace, defaults: Defaults) -> Request:
    """Request of the parsed options, with `defaults` for those not given."""
    options: dict[str, Any] = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(Defaults)
        if hasattr(args, field.name)
    }
    for name, parse in (("size", parse_size), ("frames", parse_frames)):
        if name in options:
            options[name] = parse(options[name])
    options["guidance"] = guidance_of(args, options.get("guidance", defaults.guidance))
    return defaults.request(("a prompt",), reuse_threshold=args.reuse_threshold, **options)


def _label(args: argparse.Namespace) -> None:
    rows, out = read_rows(args.samples), args.output or args.samples / LABELS
    refuse_existing(out, overwrite=args.overwrite)
    check_writable(out)
    parts = dict(args.part)
    scorer = _scorer(args)
    if scorer is not None:
        weighting = Weighting.of(scorer, parts)
        found = score_samples(args.samples, rows, scorer, weighting, batch=args.batch)
        labels: Labels = list(found)
        _report_parts([label for label in labels if isinstance(label, Label)])
    else:
        labels = _imported(args, {row[ID] for row in rows}, parts)
    write_whole(out, labels_bytes(labels))
    log.info("wrote %s: %d labels of %d samples", out, len(labels), len(rows))
    named = "" if args.output is None else f" --labels {quoted(out)}"
    log.info("To pair them: mugv-jax post pairs %s%s -o PAIRS", quoted(args.samples), named)


def _scorer(args: argparse.Namespace) -> Scorer | None:
    """The program or reward model --by; None if that is a file of labels."""
    if args.batch < 1:
        raise ValueError(f"--batch={args.batch} must be at least 1.")
    function = re.fullmatch(r"[\w.]+:\w+", args.by) and not local_path(args.by).exists()
    if args.by in REGISTERED or function:
        reward = make_reward("--by", args.by, dict(args.options))
        return RewardScorer(args.by, reward, args.samples)
    if args.options:
        raise ValueError(f"--with is of reward models ({', '.join(REGISTERED)}), not of {args.by}.")
    return SCORERS[args.by]() if args.by in SCORERS else None


def _imported(args: argparse.Namespace, known: set[str], parts: dict[str, float]) -> Labels:
    """Labels of the file --by, one for each clip or pair."""
    if parts:
        raise ValueError(f"--part is of {', '.join(SCORERS)}: a file of labels states its scores.")
    file = local_path(args.by)
    if not file.suffix and not file.exists():
        names = ", ".join([*SCORERS, *REGISTERED])
        raise ValueError(
            f"--by={args.by!r} must be one of {names}, a Python function as module:function, or a "
            ".csv file of labels."
        )
    labels = read_labels(file, known, bounds=args.bounds)
    labels, agreement = combined(labels, args.combine)
    if agreement.judged:
        alpha = "" if agreement.alpha is None else f", alpha {agreement.alpha:.3f}"
        sys.stdout.write(
            f"{agreement.judged} judged by several raters: "
            f"{agreement.same:.1%} of pairs of raters agree{alpha}\n"
        )
    return labels


def _report_unlabelled(rows: Sequence[Row], labels: Labels) -> None:
    named = set()
    for each in labels:
        named |= {each.id} if isinstance(each, Label) else {each.win, each.lose}
    count = sum(row[ID] not in named for row in rows)
    if count:
        log.warning("%d of %d samples have no label and are left out.", count, len(rows))


def _report_parts(labels: Sequence[Label]) -> None:
    for name in labels[0].parts:
        mean = sum(label.parts[name] for label in labels) / len(labels)
        sys.stdout.write(f"{name:>8} {mean:7.3f}\n")
    mean = sum(label.score for label in labels) / len(labels)
    sys.stdout.write(f"{'score':>8} {mean:7.3f}\n")


def _pairs(args: argparse.Namespace) -> None:
    if args.threshold is not None and not args.binary:
        raise ValueError("--threshold is that of --binary: give both or none.")
    if args.binary and args.real is not None:
        raise ValueError("--binary and --real exclude each other: a real clip has no score.")
    rule = PairRule(
        margin=args.margin,
        keep_ties=args.ties == "keep",
        per_prompt=args.per_prompt,
        seed=args.seed,
    )
    rows = read_rows(args.samples, "prompt", "source", "latent_path", "text_feat_path")
    labels = read_labels(args.labels or args.samples / LABELS, {row[ID] for row in rows})
    labels, _ = combined(labels)
    _report_unlabelled(rows, labels)
    check_output_folder(args.output, SAMPLES)
    if (args.output / CSV).exists() and not args.overwrite:
        raise ValueError(f"{args.output} holds samples: give --overwrite, or another folder.")
    scores = [label for label in labels if isinstance(label, Label)]
    if (args.binary or args.real is not None) and not scores:
        raise ValueError("--binary and --real need scores, not comparisons: give other --labels.")
    if args.binary:
        made, share = binary(rows, scores, 1.0 if args.threshold is None else args.threshold)
        with anew(args, (CSV,)):
            write_binary(made, args.samples, args.output)
        sys.stdout.write(f"{len(made)} samples, {share:.1%} desirable\n")
        say_training("kto", args.output)
        return
    folders = {args.samples: rows}
    if args.real is not None:
        real = read_rows(args.real, "source", "latent_path")
        pairs, counts = real_pairs(rows, scores, real, rule)
        folders = {args.real: real, args.samples: rows}
    else:
        pairs, counts = choose_pairs(rows, labels, rule)
    with anew(args, (CSV,)):
        write_pairs(pairs, folders, args.output)
    sys.stdout.write(
        f"{counts.pairs} pairs of {counts.prompts} prompts; {counts.without} prompts have none; "
        f"{counts.ties} ties {'kept' if rule.keep_ties else 'dropped'}\n"
    )
    say_training("dpo", args.output)


def _part(text: str) -> tuple[str, float]:
    name, equals, weight = text.partition("=")
    return name, finite_number(weight) if equals else 1.0


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be NAME=VALUE, such as folder=PickScore_v1"
        )
    return name, option_value(value)


def _bounds(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not low < high:
        raise argparse.ArgumentTypeError(f"{text!r} must be LOW,HIGH, such as 1,5")
    return low, high
