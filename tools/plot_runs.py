# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Curves of training runs, from their metrics.jsonl.

    python -m tools.plot_runs --title "Held-out clips: PSNR in dB" --metric validation/psnr \\
        --svg curves.svg spatial=runs/vae_spatial temporal=runs/vae_temporal

Draws one metric of several runs over their steps. `--smooth 20` draws means of 20 values in a row.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import drawing

Points = list[tuple[float, float]]
WIDTH, HEIGHT, MARGIN = 640, 320, 56  # of the picture, px
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#333333")
TICKS = 5


def read(run: Path, metric: str, smooth: int = 1) -> Points:
    """(step, value) in ascending order; the later value of a repeated step counts.

    Raises:
        ValueError: the run has no such metric.
    """
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise ValueError(f"{path} does not exist: give folders that mugv-jax train wrote.")
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    found = {line["step"]: line[metric] for line in lines if metric in line}
    if not found:
        known = sorted({name for line in lines for name in line} - {"step"})
        raise ValueError(f"{path} has no {metric!r}; it has {', '.join(known)}.")
    points = sorted(found.items())
    windows = [points[max(0, end - smooth) : end] for end in range(1, len(points) + 1)]
    return [(window[-1][0], statistics.fmean(v for _, v in window)) for window in windows]


def svg(title: str, curves: Mapping[str, Points]) -> str:
    """Plot of all curves in one panel, with their names below."""
    steps = [step for points in curves.values() for step, _ in points]
    values = [value for points in curves.values() for _, value in points]
    ticks = _ticks(min(values), max(values))
    left, right, top, bottom = MARGIN, WIDTH - MARGIN / 2, MARGIN * 0.8, HEIGHT - MARGIN * 1.4

    def x(step: float) -> float:
        return left + (right - left) * step / max(*steps, 1)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [drawing.text(WIDTH / 2, 24, title, "middle", size=15)]
    for tick in ticks:
        parts.append(drawing.line(left, y(tick), right, y(tick), drawing.GRID))
        parts.append(drawing.text(left - 8, y(tick) + 4, f"{tick:g}", "end"))
    for tick in _ticks(0, max(steps)):
        if tick <= max(steps):
            parts.append(drawing.text(x(tick), bottom + 18, f"{tick:g}", "middle"))
    parts.append(drawing.text((left + right) / 2, bottom + 36, "steps", "middle"))
    share = (right - left) / len(curves)
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x(step), y(value)) for step, value in points]
        parts += [drawing.curve(places, colour), drawing.dot(*places[-1], colour)]
        parts.append(drawing.text(left + share * number, HEIGHT - 14, name, "start", colour))
    return drawing.picture(WIDTH, HEIGHT, parts)


def _ticks(low: float, high: float) -> list[float]:
    """About `TICKS` round numbers from at most `low` to at least `high`."""
    raw = (high - low or abs(high) or 1) / TICKS
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * number, 12) for number in range(first, max(last, first + 1) + 1)]


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the curves, and print the path of the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="name and folder of a run")
    parser.add_argument(
        "--metric", required=True, help="name of the metric, such as validation/loss"
    )
    parser.add_argument("--title", required=True, help="title of the picture")
    parser.add_argument("--smooth", type=int, default=1, help="values in a mean [%(default)s]")
    parser.add_argument("--svg", type=Path, required=True, help="path of the picture")
    args = parser.parse_args(argv)
    if args.smooth < 1:
        parser.error(f"--smooth={args.smooth} must be at least 1.")
    curves = {}
    for each in args.runs:
        name, separator, run = each.partition("=")
        if not separator:
            parser.error(f"{each!r} must be NAME=RUN, a name for the curve and a run's folder.")
        try:
            curves[name] = read(Path(run), args.metric, args.smooth)
        except ValueError as error:
            parser.error(str(error))
    args.svg.write_text(svg(args.title, curves))
    print(args.svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
