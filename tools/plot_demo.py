# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Plots of sweeps from `mugv-jax eval demo --sweep`: shares right, with 95% intervals.

    python -m tools.plot_demo scores/sweeps

Draws every `sweep_NAME.json` of the folder as `sweep_NAME.svg` beside it: a panel for each task, on
seen and on unseen combinations. The swept values are spaced evenly.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.demo.eval.report import ROWS, TITLES
from mugv_jax.demo.eval.score import SPLITS
from tools import drawing

Report = Mapping[str, Any]
WIDTH, HEIGHT, MARGIN = 380, 280, 48  # of a panel, px
HEAD, FOOT = 40, 34  # above and below the panels, px
COLOURS = {"colour": "#1f77b4", "shape": "#2ca02c", "motion": "#d62728", "all": "#333333"}
OFFSET = 4  # px between the lines, so that intervals do not hide each other
FLOOR_STEP = 0.2


def svg(report: Report) -> str:
    """Plot of one sweep.

    Raises:
        ValueError: no task was measured at every value.
    """
    scores = [entry["scores"] for entry in report["entries"]]
    tasks = [task for task in TITLES if all(task in each for each in scores)]
    if not tasks:
        raise ValueError("no task was measured at every value of the sweep.")
    lows = [
        s[t][split][m]["low"] for s in scores for t in tasks for split in SPLITS for m in COLOURS
    ]
    floor = min(lows) // FLOOR_STEP * FLOOR_STEP
    width, height = WIDTH * len(SPLITS), HEAD + HEIGHT * len(tasks) + FOOT
    title = f"Right, by {report['sweep']} (95% intervals)"
    parts = [drawing.text(width / 2, 24, title, "middle", size=15)]
    for row, task in enumerate(tasks):
        for column, split in enumerate(SPLITS):
            parts.append(f'<g transform="translate({column * WIDTH},{HEAD + row * HEIGHT})">')
            parts += _panel(report, task, split, floor)
            parts.append("</g>")
    for number, (measure, colour) in enumerate(COLOURS.items()):
        parts.append(drawing.text(MARGIN + 90 * number, height - 12, measure, "start", colour))
    return drawing.picture(width, height, parts)


def _panel(report: Report, task: str, split: str, floor: float) -> list[str]:
    entries = report["entries"]
    left, right, top, bottom = MARGIN, WIDTH - MARGIN / 2, MARGIN, HEIGHT - MARGIN
    step = (right - left) / len(entries)

    def x(number: int) -> float:
        return left + step * (number + 0.5)

    def y(share: float) -> float:
        return bottom - (bottom - top) * (share - floor) / (1 - floor)

    title = f"{TITLES[task]}, {ROWS[split]} combinations"
    parts = [drawing.text((left + right) / 2, top - 14, title, "middle")]
    for tick in range(round(100 * floor), 101, 10):
        parts.append(drawing.line(left, y(tick / 100), right, y(tick / 100), drawing.GRID))
        parts.append(drawing.text(left - 6, y(tick / 100) + 4, f"{tick}%", "end"))
    for number, entry in enumerate(entries):
        parts.append(drawing.text(x(number), bottom + 18, f"{entry['value']:g}", "middle"))
    parts.append(drawing.text((left + right) / 2, bottom + 36, report["sweep"], "middle"))
    for number, measure in enumerate(COLOURS):
        shift = OFFSET * (number - (len(COLOURS) - 1) / 2)
        estimates = [entry["scores"][task][split][measure] for entry in entries]
        parts += _curve(estimates, lambda n, shift=shift: x(n) + shift, y, COLOURS[measure])
    return parts


def _curve(
    estimates: Sequence[Mapping[str, float]],
    x: Callable[[int], float],
    y: Callable[[float], float],
    colour: str,
) -> list[str]:
    points = [(x(number), y(each["value"])) for number, each in enumerate(estimates)]
    parts = [drawing.curve(points, colour)]
    for (px, py), each in zip(points, estimates, strict=True):
        parts.append(drawing.line(px, y(each["low"]), px, y(each["high"]), colour))
        parts.append(drawing.dot(px, py, colour))
    return parts


def main(argv: Sequence[str] | None = None) -> int:
    """Draw every sweep in a folder, and print the paths of the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder given as --out to the sweeps")
    folder = parser.parse_args(argv).folder
    paths = sorted(folder.glob("sweep_*.json"))
    if not paths:
        parser.error(f"{folder} holds no sweep_*.json: make one with mugv-jax eval demo --sweep.")
    for path in paths:
        try:
            picture = svg(json.loads(path.read_text()))
        except ValueError as error:
            parser.error(f"{path}: {error}")
        path.with_suffix(".svg").write_text(picture)
        print(path.with_suffix(".svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
