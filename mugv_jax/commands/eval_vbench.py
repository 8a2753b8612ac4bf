# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax eval vbench`: videos for VBench and VBench-I2V, their scores, and the totals.

FOLDER/videos/PROMPT-INDEX.mp4    what the official tool looks for, and nothing else
FOLDER/vbench.json                suite, seed and ratio
FOLDER/samples.jsonl              prompt, picture, seed and file of every video (of a process:
                                  samples.INDEX-of-COUNT.jsonl)
FOLDER/prompts.json               prompt of every file, as the tool's --prompt_file
FOLDER/images/RATIO/              pictures, where they had to be cropped
FOLDER/results/                   what the tool wrote, and total.json
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.bounds import require_at_least
from mugv_jax.commands import generate
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_path,
    add_switch,
    add_value,
    local_path,
)
from mugv_jax.commands.post_folders import add_shards, shards_of
from mugv_jax.data.whole_files import write_whole
from mugv_jax.eval.answers import changes
from mugv_jax.eval.vbench import prompts as lists
from mugv_jax.eval.vbench.images import RATIOS, images_at
from mugv_jax.eval.vbench.suites import I2V, SUITES, Suite
from mugv_jax.eval.vbench.tool import EXECUTABLE, Tool
from mugv_jax.eval.vbench.totals import read_results, totals, totals_text
from mugv_jax.files import check_output_folder, read_json, user_path
from mugv_jax.weights.digests import file_digest
from mugv_jax.weights.staging import refuse_existing

log = logging.getLogger(__name__)

DESCRIPTION = "Make the videos that VBench asks for, run its tool on them, and sum up its scores."
SAMPLE = "Make the videos of an official list of prompts. The same command resumes."
SAMPLE_EXAMPLES = """examples:
  mugv-jax eval vbench sample VBench_full_info.json --weights weights -o vbench
  mugv-jax eval vbench sample vbench2_i2v_full_info.json --images vbench2_beta_i2v/data \\
    --weights weights --size 1280x720 -o vbench_i2v
  mugv-jax eval vbench sample ... --shard-index 3 --shard-count 8     on the fourth of eight

All options of `mugv-jax generate` that make a video are options here. Defaults marked * are those
of the weights, if they have a defaults.json.
"""
SCORE = "Run VBench's own tool on the videos, dimension by dimension. The same command resumes."
SCORE_EXAMPLES = """examples:
  mugv-jax eval vbench score vbench --vbench ~/vbench/bin/vbench --gpus 8
  mugv-jax eval vbench score vbench_i2v --vbench VBench --python ~/vbench/bin/python
"""
TOTAL = "Compute quality, semantic or I2V, and total scores from results of VBench's tool."
TOTAL_EXAMPLES = """examples:
  mugv-jax eval vbench total vbench/results
  mugv-jax eval vbench total quality_eval_results.json semantic_eval_results.json -o total.json
"""
VIDEOS, ABOUT, RESULTS = "videos", "vbench.json", "results"
SAMPLES, PROMPTS, IMAGES, TOTALS = "samples.jsonl", "prompts.json", "images", "total.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    steps = parser.add_subparsers(dest="step", required=True, metavar="step")
    for name, text, examples, add in (
        ("sample", SAMPLE, SAMPLE_EXAMPLES, _add_sample),
        ("score", SCORE, SCORE_EXAMPLES, _add_score),
        ("total", TOTAL, TOTAL_EXAMPLES, _add_total),
    ):
        add(steps.add_parser(name, help=text, description=text, epilog=examples))


def _add_sample(parser: argparse.ArgumentParser) -> None:
    # What `generate` reads, and the list decides.
    parser.set_defaults(run=_sample, prompt=[], prompts=None, like=None, contact_sheet=None)
    info = "VBench_full_info.json or vbench2_i2v_full_info.json of VBench's repository"
    add_path(parser, "info", info, "INFO", type=local_path)
    add_output(parser, "folder of the videos; those that exist are kept", "FOLDER",
               type=local_path)  # fmt: skip
    add_overwrite(parser, "make all videos anew, also with other settings")
    _add_dimensions(parser)
    per_prompt = (
        f"videos of each prompt [{lists.PER_PROMPT}; of VBench's {lists.FLICKERING} "
        f"{lists.FILTERED}, of which its static filter keeps {lists.PER_PROMPT}]"
    )
    parser.add_argument("--per-prompt", type=int, metavar="N", help=per_prompt)
    images = "VBench-I2V's folder of pictures, which holds crop/RATIO, or origin and its boxes"
    add_path(parser, "--images", images, type=local_path)
    ratio = "aspect ratio of the pictures; take the one nearest to --size"
    add_value(parser, "--ratio", RATIOS[0], ratio, choices=RATIOS)
    add_shards(parser, "videos")
    add_switch(parser, "--no-metadata", "do not write prompt, settings and paths into the files")
    generate.add_making(parser)


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_score)
    add_path(parser, "folder", "folder of `eval vbench sample`", "FOLDER", type=local_path)
    add_output(parser, f"folder of the results [FOLDER/{RESULTS}]", "RESULTS",
               type=local_path, required=False)  # fmt: skip
    add_overwrite(parser, "measure all dimensions anew")
    _add_dimensions(parser)
    tool = "the tool vbench; for VBench-I2V a checkout of its repository"
    add_path(parser, "--vbench", f"{tool} [%(default)s]", "PATH", default=EXECUTABLE)
    python = "interpreter with the packages of the checkout, for VBench-I2V"
    add_path(parser, "--python", f"{python} [%(default)s]", "PATH", default=Tool.python)
    add_value(parser, "--gpus", Tool.gpus, "GPUs that VBench uses", metavar="N")
    add_switch(parser, "--local", "download no models: they are in VBench's cache")


def _add_total(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_total)
    files = "*_eval_results.json files of VBench's tool, or folders of them; they are merged"
    add_path(parser, "results", files, "RESULTS", nargs="+", type=local_path)
    add_output(parser, "JSON file of the scores too", "FILE", type=local_path, required=False)
    add_overwrite(parser, "replace the file")


def _add_dimensions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dimensions", type=lambda text: tuple(text.split(",")), default=(), metavar="NAME[,NAME]",
        help="dimensions, such as human_action,scene [all]",
    )  # fmt: skip


def _sample(args: argparse.Namespace) -> None:
    suite, prompts = lists.read_prompts(args.info)
    chosen = lists.chosen(prompts, suite, args.dimensions)
    index, count = shards_of(args)
    if not 0 <= index < count:
        raise ValueError(
            f"shard index={index} of shard count={count} must lie in 0 to {count - 1}."
        )
    check_output_folder(args.output)
    images = _images(args, suite, chosen)
    samples = lists.samples_of(
        chosen, suite, seed=args.seed, per_prompt=args.per_prompt, images=images
    )
    _warn_of_names(chosen)
    about = {
        "suite": next(name for name, each in SUITES.items() if each is suite),
        "info": file_digest(args.info),
        "seed": args.seed,
        "ratio": args.ratio if suite is I2V else None,
    }
    _begin(args, about)
    write_whole(args.output / SAMPLES, _rows(samples), shared=True)
    names = json.dumps(lists.prompt_file(samples), indent=1, ensure_ascii=False)
    write_whole(args.output / PROMPTS, names.encode(), shared=True)
    mine, args.prompts = samples, args.output / SAMPLES
    if count > 1:
        mine = samples[index::count]
        args.prompts = args.output / f"samples.{index:05d}-of-{count:05d}.jsonl"
        write_whole(args.prompts, _rows(mine))
    args.output = args.output / VIDEOS
    generate.run(args)
    log.info("%s: %d videos of %s.", args.output, len(mine), suite.title)


def _images(args: argparse.Namespace, suite: Suite, prompts: Sequence[lists.Prompt]) -> Path | None:
    """Folder of the pictures of VBench-I2V; None of VBench."""
    if suite is not I2V:
        if args.images is not None:
            raise ValueError(f"--images are of VBench-I2V: {args.info} is of {suite.title}.")
        return None
    if args.images is None:
        raise ValueError(
            f"{args.info} is of {suite.title}: give its pictures with --images FOLDER."
        )
    names = [prompt.image for prompt in prompts if prompt.image is not None]
    return images_at(args.images, args.ratio, names, args.output / IMAGES).absolute()


def _begin(args: argparse.Namespace, about: Mapping[str, Any]) -> None:
    """Write what the videos are of; raise a ValueError for a folder of other ones."""
    path = args.output / ABOUT
    if path.exists() and not args.overwrite:
        changed = changes(read_json(path), about)
        if changed:
            raise ValueError(
                f"{args.output} holds other videos ({'; '.join(changed)}): give another folder, or "
                "--overwrite."
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(about, indent=1).encode(), shared=True)


def _rows(samples: Sequence[lists.Sample]) -> bytes:
    """Rows of `generate --prompts`."""
    lines = []
    for each in samples:
        row: dict[str, Any] = {"prompt": each.prompt, "seed": each.seed, "output": each.output}
        if each.image is not None:
            row["image"] = each.image
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def _warn_of_names(prompts: Sequence[lists.Prompt]) -> None:
    short = [prompt.text for prompt in prompts if not lists.is_whole(prompt.text)]
    if short:
        log.warning(
            "%d prompts are too long for a file's name, or have a slash: their videos have other "
            "names, which VBench finds only with --mode custom_input --prompt_file %s.",
            len(short),
            PROMPTS,
        )


def _score(args: argparse.Namespace) -> None:
    require_at_least(1, args, "gpus")
    about = read_json(args.folder / ABOUT, "record of `eval vbench sample`")
    suite = SUITES.get(str(about.get("suite"))) if isinstance(about, dict) else None
    if suite is None:
        raise ValueError(f"{args.folder / ABOUT} is damaged: run `eval vbench sample` again.")
    lists.chosen([], suite, args.dimensions)  # refuses unknown ones
    tool = Tool(
        vbench=str(user_path(args.vbench)),
        python=str(user_path(args.python)),
        suite=suite,
        ratio=about.get("ratio") or RATIOS[0],
        gpus=args.gpus,
        local=args.local,
    )
    results = args.output or args.folder / RESULTS
    tool.measure(
        args.folder / VIDEOS,
        results,
        args.dimensions or suite.dimensions,
        anew=args.overwrite,
    )
    report = totals(read_results([results]))
    write_whole(results / TOTALS, json.dumps(report, indent=2).encode())
    sys.stdout.write(totals_text(report))


def _total(args: argparse.Namespace) -> None:
    if args.output is not None:
        refuse_existing(args.output, overwrite=args.overwrite)
    report = totals(read_results(args.results))
    if args.output is not None:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.output, json.dumps(report, indent=2).encode())
    sys.stdout.write(totals_text(report))
