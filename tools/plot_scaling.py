# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table and curve of scaling efficiency from reports of `mugv-jax compile --json`.

    python -m tools.plot_scaling docs/scaling/*.json --svg docs/scaling/efficiency.svg

Efficiency of a slice is its samples per second and chip over those of the smallest slice. Weak
scaling keeps the samples per chip constant, strong scaling the samples per step. Steps and MFU have
two bounds; the slower one decides.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools import drawing

Report = Mapping[str, Any]
WIDTH, HEIGHT, MARGIN = 640, 400, 60  # of the picture, px
COLOURS = {"weak": "#1f77b4", "strong": "#d62728"}


def series(reports: Sequence[Report]) -> dict[str, list[Report]]:
    """Longest series of slices that keep the constant of weak and of strong scaling.

    Raises:
        ValueError: there are no two slices to compare.
    """
    kept = {
        "weak": lambda report: report["samples"] / report["chips"],
        "strong": lambda report: report["samples"],
    }
    found = {}
    for name, key in kept.items():
        groups: dict[float, dict[int, Report]] = defaultdict(dict)
        for report in reports:
            if report["step"] != "train" or not report["memory"]["fits"]:
                continue
            best = groups[key(report)].get(report["chips"])
            if best is None or _speed(report) > _speed(best):
                groups[key(report)][report["chips"]] = report
        longest = max(groups.values(), key=len, default={})
        if len(longest) > 1:
            found[name] = [longest[chips] for chips in sorted(longest)]
    if not found:
        raise ValueError(
            "no two training steps that fit have the same number of samples, in total or per "
            "chip: give reports of several slices."
        )
    return found


def efficiency(reports: Sequence[Report]) -> list[float]:
    """Efficiency of each slice relative to the first."""
    return [_speed(report) / _speed(reports[0]) for report in reports]


def _speed(report: Report) -> float:
    """Samples per second and chip."""
    return report["estimate"]["samples_per_second"] / report["chips"]


def table(found: Mapping[str, Sequence[Report]]) -> str:
    """Markdown table of all series."""
    rows = [
        "| scaling | slice | chips | mesh | samples | step | MFU | efficiency |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, reports in found.items():
        for report, share in zip(reports, efficiency(reports)):
            mesh = ", ".join(f"{axis}={size}" for axis, size in report["mesh"].items())
            estimate = report["estimate"]
            rows.append(
                f"| {name} | {report['topology']} | {report['chips']} | {mesh} | "
                f"{report['samples']} | {estimate['step_least_s']:.2f} to "
                f"{estimate['step_s']:.2f} s | {100 * estimate['mfu']:.1f} to "
                f"{100 * estimate['mfu_most']:.1f}% | {100 * share:.1f}% |"
            )
    return "\n".join(rows)


def svg(found: Mapping[str, Sequence[Report]]) -> str:
    """Plot of the curves over the number of chips, with slices spaced evenly."""
    chips = sorted({report["chips"] for reports in found.values() for report in reports})
    left, right, bottom = MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN
    step = (right - left) / max(1, len(chips) - 1)

    def x(count: int) -> float:
        return left + step * chips.index(count)

    def y(share: float) -> float:
        return bottom - (bottom - MARGIN) * min(share, 1.1) / 1.1

    title = "Predicted scaling efficiency (per-chip throughput)"
    parts = [drawing.text(WIDTH / 2, 26, title, "middle", size=15)]
    for tick in range(0, 101, 20):
        parts.append(drawing.line(left, y(tick / 100), right, y(tick / 100), drawing.GRID))
        parts.append(drawing.text(left - 8, y(tick / 100) + 4, f"{tick}%", "end"))
    parts.append(drawing.line(left, y(0.9), right, y(0.9), "#888888", dashed=True))
    for count in chips:
        parts.append(drawing.text(x(count), bottom + 22, f"{count}", "middle"))
    parts.append(drawing.text((left + right) / 2, bottom + 44, "chips", "middle"))
    for number, (name, reports) in enumerate(found.items()):
        points = [(x(r["chips"]), y(s)) for r, s in zip(reports, efficiency(reports))]
        colour = COLOURS[name]
        parts += [drawing.curve(points, colour), *(drawing.dot(*point, colour) for point in points)]
        label = bottom - 16 - 18 * number
        parts.append(drawing.text(left + 14, label, f"{name} scaling", "start", colour))
    return drawing.picture(WIDTH, HEIGHT, parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write the picture if `--svg` is given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reports", nargs="+", type=Path, help="written by compile --json")
    parser.add_argument("--svg", type=Path, help="path of the picture")
    args = parser.parse_args(argv)
    reports = []
    for path in args.reports:
        read = json.loads(path.read_text())
        reports += read if isinstance(read, list) else [read]
    try:
        found = series(reports)
    except ValueError as error:
        parser.error(str(error))
    print(table(found))
    if args.svg:
        args.svg.write_text(svg(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
