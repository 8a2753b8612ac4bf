# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Loss of quality from fewer evaluations: videos of a model against those of the full run.

    python -m tools.benchmarks.reuse --dit runs/first --samples samples --output reuse.json

Latents are sampled from some captions, with the same seeds, in all steps, in fewer, and with
thresholds of `flow/reuse.py`. Prints a table and writes JSON:

    PSNR = 10 log10(range^2 / mean squared difference)    dB, range of the full run's latent
"""

import argparse
import dataclasses
import functools
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.data.empty_text import find_empty_text, read_empty_text
from mugv_jax.data.fields import flow_fields
from mugv_jax.data.open import open_samples
from mugv_jax.data.samples import SampleSource
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import Sample, read, sample
from mugv_jax.flow.schedule import sample_times, shift_ratio
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from mugv_jax.systems.mugv.denoiser import MugvCondition, MugvDenoiser
from mugv_jax.systems.mugv.size import MAX_TOKENS, STRIDE
from mugv_jax.weights.load import load

# (steps, threshold, interval of guidance) -> the samples of every clip and seed
Runs = Callable[[int, float, tuple[float, float]], list[Sample]]


def main(arguments: list[str] | None = None) -> None:
    args = _parse(arguments)
    empty = find_empty_text(args.samples)
    if empty is None:
        raise ValueError(f"{args.samples} holds no text states of the empty caption: encode again.")
    config, variables = load(args.dit, "mugv_dit", dtype=jnp.dtype(args.dtype))
    fields = flow_fields(
        channels=config.in_channels,
        text_dim=config.text_dim,
        statistics=(LATENT_SHIFT, LATENT_SCALE),
    )
    source = open_samples(args.samples, fields)
    dit = MugDiT(config, jnp.dtype(args.dtype))
    clips = list(range(len(source)))[:: -(-len(source) // args.clips)]
    rows = []
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for shift, scale, steps in itertools.product(args.shifts, args.guidance, args.steps):
        runs = functools.partial(
            _runs, dit, variables, source, clips, empty, args.seeds, scale, shift
        )
        for row in _compared(runs, steps, args.thresholds, args.intervals if scale != 1 else []):
            rows.append({"shift": shift, "guidance": scale, "steps": steps} | row)
            print(_line(rows[-1]), flush=True)
    found = {"clips": [source.names[i] for i in clips], "seeds": args.seeds, "rows": rows}
    found["model"] = dataclasses.asdict(config)
    args.output.write_text(json.dumps(found | {"jax": jax.__version__}, indent=1) + "\n")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmarks.reuse", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--dit", required=True, help="weights, or a training run")
    parser.add_argument(
        "--samples", type=pathlib.Path, required=True, help="folder of encoded or packed samples"
    )
    parser.add_argument("--clips", type=int, default=4, help="number of captions, evenly spread")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds for each caption")
    parser.add_argument("--steps", type=int, nargs="+", default=[25, 50])
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.05, 0.1, 0.15, 0.2, 0.3])
    parser.add_argument(
        "--intervals", type=_interval, nargs="*", default=[], help="LOW,HIGH of guidance"
    )
    parser.add_argument(
        "--shifts", type=float, nargs="+", default=[None], help="time shifts; default: by the size"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--output", type=pathlib.Path, default="reuse.json")
    return parser.parse_args(arguments)


def _interval(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.split(","))
    return low, high


ALWAYS = (0.0, 1.0)


def _compared(
    runs: Runs, steps: int, thresholds: Sequence[float], intervals: Sequence[tuple[float, float]]
) -> Iterator[dict[str, Any]]:
    """One row per way to save evaluations, compared with the run that saves none."""
    full = runs(steps, 0.0, ALWAYS)
    variants = [(f"{fewer} steps", (fewer, 0.0, ALWAYS)) for fewer in (steps // 2, steps // 3)]
    variants += [(f"threshold {value:g}", (steps, value, ALWAYS)) for value in thresholds]
    for low, high in intervals:
        name = f"guidance in {low:g} to {high:g}"
        variants.append((name, (steps, 0.0, (low, high))))
        variants += [
            (f"{name}, threshold {value:g}", (steps, value, (low, high))) for value in thresholds
        ]
    for name, variant in variants:
        made = runs(*variant)
        db = [_psnr(np.asarray(each.x), np.asarray(whole.x)) for each, whole in zip(made, full)]
        spent = sum(each.evaluations for each in made) / sum(each.evaluations for each in full)
        yield {
            "variant": name,
            "evaluations": float(np.mean([each.evaluations for each in made])),
            "of": full[0].evaluations,
            "fewer": 1 / spent,
            "psnr_mean_db": float(np.mean(db)),
            "psnr_min_db": float(np.min(db)),
        }


def _runs(
    dit: MugDiT,
    variables: Any,
    source: SampleSource,
    clips: Sequence[int],
    empty: pathlib.Path,
    seeds: int,
    scale: float,
    shift: float | None,
    steps: int,
    threshold: float,
    interval: tuple[float, float],
) -> list[Sample]:
    """Sample every clip's caption with every seed, one after the other."""
    made = []
    for clip, seed in itertools.product(clips, range(seeds)):
        example = source[clip]
        shape = example["latent"].shape
        frames, height, width, _ = shape
        ratio = shift or shift_ratio(height * STRIDE, width * STRIDE, frames)
        condition = functools.partial(_condition, dit, variables, frames, example["fps"])
        made.append(
            sample(
                MugvDenoiser(dit),
                variables,
                jax.random.normal(jax.random.key(seed), (1, *shape)),
                times=sample_times(steps, ratio),
                noisy=jnp.ones((1, frames), bool),
                positive=condition(*example["text"]),
                negative=None if scale == 1 else condition(*read_empty_text(empty)),
                guidance=Guidance(scale=scale, interval=interval),
                reuse_threshold=threshold,
            )
        )
    return made


def _condition(
    dit: MugDiT, variables: Any, frames: int, fps: float, text: np.ndarray, mask: np.ndarray
) -> MugvCondition:
    padding = MAX_TOKENS - len(text)  # one program for all captions
    states = jnp.asarray(np.pad(text, ((0, padding), (0, 0)))[None], jnp.float32)
    valid = jnp.asarray(np.pad(mask, (0, padding))[None])
    return read(MugvDenoiser(dit), variables, MugvCondition.of(states, valid, fps, frames))


def _psnr(made: np.ndarray, full: np.ndarray) -> float:
    """PSNR in dB, at most 200, the value for equal latents."""
    error = np.mean(np.square(made - full)) / np.ptp(full) ** 2
    return float(-10 * np.log10(np.maximum(error, 1e-20)))


COLUMNS = ("shift", "guidance", "steps", "saved by", "evaluations", "fewer", "PSNR dB", "lowest")


def _line(row: dict[str, Any]) -> str:
    shift = "by size" if row["shift"] is None else f"{row['shift']:g}"
    cells = (
        shift,
        f"{row['guidance']:g}",
        str(row["steps"]),
        row["variant"],
        f"{row['evaluations']:.1f} of {row['of']}",
        f"{row['fewer']:.2f}x",
        f"{row['psnr_mean_db']:.1f}",
        f"{row['psnr_min_db']:.1f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
