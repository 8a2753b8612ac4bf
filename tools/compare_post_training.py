# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Post-training methods compared in the demo's world with errors (docs/post_training.md).

    python -m tools.compare_post_training weights faulty_encoded --output runs/post
    python -m tools.compare_post_training weights faulty_encoded --output runs/post \\
        --methods dpo kto --seeds 0 1

weights: folder of the base model that the guide makes.  faulty_encoded: samples of its training.

Every method starts from the same base and takes the updates and clips of an update that its config
states: the same in all that read clips; fewer updates in `reward` and more in `nft`, which sample
clips while they train, with the captions of the base's own videos. `continued` is plain training on
what the base was trained on, and `own` on the videos that the base itself made, right and wrong
ones: what a label adds is what comes beyond these two. `sft-faster` has the learning rate of
`interleaved`.
Every run is scored on captions and noise that no run was trained on. What has finished is kept, and
the same command goes on. The table has the means over seeds, with 95% intervals of all clips, and
`--svg` draws the two kinds of errors.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mugv_jax.demo.eval.intervals import Estimate, share
from tools import drawing

PROMPTS = "{root}/prompts/captions.csv"


def _of_all_parts(samples: str) -> dict[str, str]:
    """Commands that label all parts of samples, for the interleaved sources."""
    scores = f"{{root}}/{samples}_all.csv"
    paired = f"post pairs {{root}}/{samples} --labels {scores}"
    return {
        f"{samples}_all.csv": f"post label {{root}}/{samples} --by demo -o {scores}",
        f"{samples}_passed": f"{paired} --binary -o {{root}}/{samples}_passed",
        f"{samples}_pairs": f"{paired} --per-prompt 2 -o {{root}}/{samples}_pairs",
    }


ENCODE = "data encode {root}/clean/captions.csv --size 64x64 --fps 8 --text-batch 64"
# What the methods learn from: name -> the command that makes it.
DATA = {
    "prompts": "demo world --world small --split train --count 200 --seed 31 -o {root}/prompts",
    "own": f"post sample {PROMPTS} --count 4 --batch 50 --weights {{weights}} -o {{root}}/own",
    "motion.csv": "post label {root}/own --by demo --part motion -o {root}/motion.csv",
    "physics.csv": "post label {root}/own --by demo --part physics -o {root}/physics.csv",
    "pairs": "post pairs {root}/own --labels {root}/motion.csv --per-prompt 4 -o {root}/pairs",
    "binary": "post pairs {root}/own --labels {root}/physics.csv --binary -o {root}/binary",
    "more_prompts": "demo world --world small --split train --count 400 --seed 51 "
    "-o {root}/more_prompts",
    "more": "post sample {root}/more_prompts/captions.csv --count 4 --batch 50 --videos mp4 "
    "--weights {weights} -o {root}/more",
    "more.csv": "post label {root}/more --by demo --part physics -o {root}/more.csv",
    "more_binary": "post pairs {root}/more --labels {root}/more.csv --binary -o {root}/more_binary",
    **_of_all_parts("own"),
    **_of_all_parts("more"),
    "clean": "demo world --world small --split train --count 512 --seed 41 -o {root}/clean",
    "encoded": f"{ENCODE} --weights {{weights}} -o {{root}}/encoded",
    "reversed": "post reverse {root}/encoded --weights {weights} -o {root}/reversed",
}
TRAIN = (
    "train --config configs/post/{config}.py --output {root}/{name}-{seed} "
    "--config.run.seed={seed} --config.run.weights={weights}/dit.safetensors "
    "--config.data.holdout=0"
)
SCORE = (
    "eval demo --weights {weights} --tasks t2v --clips {clips} --batch 50 --seed {held_out} "
    "-o {root}/scores/{name}-{seed}"
)


class Method(NamedTuple):
    """A config of configs/post, and further fields of it."""

    config: str
    fields: tuple[str, ...]


def _on(*folders: str) -> str:
    return f"data.paths=({''.join(repr(f'{{root}}/{folder}') + ',' for folder in folders)})"


VAE = "objective.vae={weights}/vae.safetensors"
SOURCES = {
    "labels": ("own_passed", "more_passed"), "pairs": ("own_pairs", "more_pairs"),
    "real": ("reversed",), "clips": ("encoded",),
}  # fmt: skip
METHODS = {
    "continued": Method("continued_demo", ("data.paths=('{pretraining}',)",)),
    "own": Method("continued_demo", (_on("own"),)),
    "sft": Method("sft_demo", (_on("encoded"),)),
    "sft-constant": Method("sft_demo", (_on("encoded"), "optimizer.schedule=constant")),
    "sft-faster": Method("sft_demo", (_on("encoded"), "optimizer.learning_rate=8e-4")),
    "dpo": Method("dpo_demo", (_on("pairs"),)),
    "kto": Method("kto_demo", (_on("binary", "more_binary"),)),
    "rdpo": Method("rdpo_demo", (_on("reversed"),)),
    "reward": Method("reward_demo", (_on("own"), VAE)),
    "nft": Method("nft_demo", (_on("own"), VAE)),
    "interleaved": Method("interleaved_demo", tuple(
        _on(*folders).replace("data.", f"objective.sources.{source}.")
        for source, folders in SOURCES.items()
    )),
}  # fmt: skip
AVERAGE = "average {root}/sft-{seed} {root}/sft-average-{seed}.safetensors --decay 0.9"
SHARES = {  # column -> (measure of `eval demo`, whether its failures are counted)
    "wrong motion": ("motion", True),
    "physical error": ("physics", True),
    "right shape": ("shape", False),
    "right colour": ("colour", False),
}

WIDTH, ROW, LABELS = 640, 30, 120  # of the picture, px
COLOURS = {"wrong motion": "#d62728", "physical error": "#1f77b4"}
SEEN_AND_UNSEEN = ("validation", "unseen")

Command = Callable[[list[str]], None]


def make(args: argparse.Namespace, command: Command) -> None:
    """Runs what has not finished yet: data, training, scores."""
    places = {
        "root": args.output, "weights": args.weights, "pretraining": args.pretraining,
        "clips": args.clips,
    }  # fmt: skip

    def run(mark: str, line: str, **names: object) -> None:
        """Runs one command, unless it has finished; runs that are killed go on by themselves."""
        done = args.output / "done" / mark
        if not done.exists():
            command([word.format(**places, **names) for word in shlex.split(line)])
            done.parent.mkdir(parents=True, exist_ok=True)
            done.touch()

    for name, line in DATA.items():
        run(name, line)
    for seed in args.seeds:
        names = {"seed": seed, "held_out": seed + 1}  # of captions: training uses 0
        run(f"score-base-{seed}", SCORE, name="base", **names)
        for name in args.methods:
            method, weights = METHODS[name], f"--dit {args.output}/{name}-{seed}"
            fields = " ".join(shlex.quote(f"--config.{field}") for field in method.fields)
            own = {"name": name, "config": method.config, **names}
            run(f"train-{name}-{seed}", f"{TRAIN} {fields}", **own)
            run(f"score-{name}-{seed}", f"{SCORE} {weights}", **own)
            if name == "sft":
                average = f"--dit {args.output}/sft-average-{seed}.safetensors"
                run(f"average-{seed}", AVERAGE, **names)
                run(f"score-average-{seed}", f"{SCORE} {average}", **own | {"name": "sft-average"})


def scored(root: Path) -> list[str]:
    """Names of the methods that have scores, the base first."""
    names = ("base", *METHODS, "sft-average")
    return [name for name in names if any((root / "scores").glob(f"{name}-[0-9]*/scores.json"))]


def estimate(
    root: Path, name: str, column: str, splits: Sequence[str] = SEEN_AND_UNSEEN
) -> tuple[Estimate, int, int]:
    """(share of a column of SHARES, or of "all", over all seeds of a method; runs; clips)."""
    measure, failures = SHARES.get(column, (column, False))
    right = clips = 0
    paths = sorted((root / "scores").glob(f"{name}-[0-9]*/scores.json"))
    for path in paths:
        scores = json.loads(path.read_text())["scores"]["t2v"]
        for split in splits:
            right += scores[split][measure]["right"]
            clips += scores[split]["clips"]
    return share(clips - right if failures else right, clips), len(paths), clips


def table(root: Path) -> list[str]:
    """Lines of a Markdown table of the methods that have scores."""
    lines = ["| method | runs | clips | " + " | ".join([*SHARES, "all right, unseen"]) + " |"]
    lines.append("| --- " * (len(SHARES) + 4) + "|")
    for name in scored(root):
        found = [estimate(root, name, column) for column in SHARES]
        found.append(estimate(root, name, "all", ("unseen",)))
        cells = (
            f"{100 * x:.1f} ({100 * low:.1f} to {100 * high:.1f})" for (x, low, high), *_ in found
        )
        _, runs, clips = found[0]
        lines.append(f"| {name} | {runs} | {clips} | " + " | ".join(cells) + " |")
    return lines


def svg(root: Path) -> str:
    """Picture of both kinds of errors of every method that has scores, with their intervals."""
    names = scored(root)
    found = {(name, kind): estimate(root, name, kind)[0] for name in names for kind in COLOURS}
    largest = max(each.high for each in found.values())
    bottom = ROW * (len(names) + 1)

    def x(value: float) -> float:
        return LABELS + (WIDTH - LABELS - ROW) * value / largest

    parts = []
    for percent in range(0, int(100 * largest) + 1, 5):
        place = x(percent / 100)
        parts.append(drawing.line(place, ROW, place, bottom, drawing.GRID))
        parts.append(drawing.text(place, bottom + 16, f"{percent}%", "middle"))
    for k, (kind, colour) in enumerate(COLOURS.items()):
        parts.append(drawing.text(x(0) + 160 * k, 18, kind, "start", colour))
        for row, name in enumerate(names):
            y, each = ROW * (row + 1.35 + 0.3 * k), found[name, kind]
            parts.append(drawing.line(x(each.low), y, x(each.high), y, colour))
            parts.append(drawing.dot(x(each.value), y, colour))
    parts += [
        drawing.text(LABELS - 10, ROW * (row + 1.5) + 4, name, "end")
        for row, name in enumerate(names)
    ]
    return drawing.picture(WIDTH, bottom + ROW, parts)


def _cli(words: list[str]) -> None:
    """Runs `mugv-jax` with these arguments in a process of its own."""
    sys.stderr.write(f"mugv-jax {shlex.join(words)}\n")
    subprocess.run([sys.executable, "-m", "mugv_jax.cli", *words], check=True)


def main(argv: Sequence[str] | None = None, command: Command = _cli) -> int:
    """Compare the methods that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("weights", type=Path, help="folder of the base model")
    parser.add_argument("pretraining", type=Path, help="encoded samples that it was trained on")
    parser.add_argument("--output", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--clips", type=int, default=100, help="scored clips, seen and unseen each")
    parser.add_argument("--svg", type=Path, help="file of the picture")
    args = parser.parse_args(argv)
    make(args, command)
    sys.stdout.write("\n".join(table(args.output)) + "\n")
    if args.svg is not None:
        args.svg.write_text(svg(args.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
