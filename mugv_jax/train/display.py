# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a run shows while it trains: loss, learning rate and throughput beside its steps."""

from collections.abc import Mapping
from typing import Any

import jax

from mugv_jax.progress import Bar, scaled
from mugv_jax.train.metrics import Scalars

LOSS, RATE = "loss", "learning_rate"


class Display:
    """Progress of a run on `bar`.

    unit: what the objective counts as its throughput, such as "tokens".
    """

    def __init__(self, bar: Bar, unit: str):
        self.bar, self._unit = bar, unit
        self._counted = self._steps = 0

    def step(self, metrics: Mapping[str, jax.Array], counted: int) -> None:
        """Show the metrics of a step that is done on the devices.

        counted: tokens or whatever else is counted in the step.
        """
        self._counted += counted
        self._steps += 1
        self._show(*(float(jax.device_get(metrics[name])) for name in (LOSS, RATE)))

    def line(self, scalars: Scalars) -> None:
        """Log a line with the means of the steps since the last one."""
        self._show(scalars.get(f"train/{LOSS}"), scalars.get(f"train/{RATE}"))
        self.bar.line()

    def _show(self, loss: float | None, rate: float | None) -> None:
        texts, values = [], {}
        if loss is not None:  # every step since the last line was not finite
            texts, values = [f"loss {loss:.4g}"], {LOSS: loss}
        if rate is not None:
            texts.append(f"learning rate {rate:.2g}")
            values[RATE] = rate
        speed = self.bar.speed
        if speed is not None and self._steps:
            per_second = speed * self._counted / self._steps
            texts.append(f"{scaled(per_second)} {self._unit}/s")
            values[f"{self._unit}_per_second"] = per_second
        self.bar.show(texts, **values)


def validated(step: int, scalars: Scalars) -> str:
    """Line about a validation, with the means that `scalars` holds."""
    means = {
        name.removeprefix("validation/"): value
        for name, value in scalars.items()
        if name.startswith("validation/")
    }
    return f"step {step}: validation " + ", ".join(f"{k} {x:.4g}" for k, x in means.items()) + "."


def shape_text(shape: Any) -> str:
    """Text of a batch's shape, such as "8 samples of 3x64x64"."""
    rows, *sides = shape
    return f"{rows} samples of {'x'.join(map(str, sides))}"
