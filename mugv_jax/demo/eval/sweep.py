# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores at several values of one sampler setting."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mugv_jax.data.whole_files import write_whole
from mugv_jax.demo.eval.adherence import DemoEval, Generator, evaluate

SWEPT: dict[str, Callable[[str], float]] = {"guidance": float, "steps": int, "shift": float}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One sampler setting and its values.

    name: a field of `DemoEval` that SWEPT lists.
    values: at least two, ascending.
    """

    name: str
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> "Sweep":
        """The sweep that a text such as "guidance=1,2,4" describes.

        Raises:
            ValueError: text of another form.
        """
        name, _, values = text.partition("=")
        try:
            numbers = sorted({SWEPT[name](value) for value in values.split(",")})
        except (KeyError, ValueError):
            numbers = []
        if len(numbers) < 2:
            raise ValueError(
                f"sweep {text!r} must be NAME=VALUE,VALUE,... of {' or '.join(SWEPT)}, such as "
                "guidance=1,2,4 or steps=4,8,16."
            )
        return cls(name, tuple(numbers))

    def folder(self, value: float) -> str:
        """Name of the folder with the answers at one value."""
        return f"{self.name}_{value:g}"

    def configs(self, config: DemoEval) -> dict[float, DemoEval]:
        """`config` with each of the values, and without times of its own where steps tell them.

        Raises:
            ValueError: a value out of range.
        """
        if self.name in ("steps", "shift"):
            config = dataclasses.replace(config, times=None)
        return {v: dataclasses.replace(config, **{self.name: v}) for v in self.values}


def evaluate_sweep(
    sweep: Sweep,
    config: DemoEval,
    generator: Callable[[DemoEval], Generator],
    weights: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Scores each value in a folder of its own, writes `folder/sweep_NAME.json`, and returns it."""
    entries = []
    for value, each in sweep.configs(config).items():
        part = folder / sweep.folder(value)
        report = evaluate(each, generator(each), weights, part)
        entries.append({"value": value, "scores": report["scores"]})
    report = {
        "sweep": sweep.name,
        "settings": dataclasses.asdict(config),
        "weights": weights,
        "entries": entries,
    }
    write_whole(folder / f"sweep_{sweep.name}.json", json.dumps(report, indent=2).encode())
    return report
