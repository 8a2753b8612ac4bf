# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Horizontal bars of shares, as a PNG file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mugv_jax.serve.label.results import Results
from mugv_jax.video import completed

SCALE = 2  # pixels of the file for each of the layout
WIDTH, ROW, BAR, MARGIN, GAP = 900, 34, 20, 20, 12
LABEL, VALUE = 300, 70  # widths of the texts beside the bars
TEXT_PX = 15
WHITE, INK, SOFT, LINE = "#ffffff", "#1a1d23", "#5d6673", "#d5dae1"
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Draw = ImageDraw.ImageDraw
GOOD, EQUAL, BAD = "#1f6fd6", "#c3c9d2", "#d9822b"


@dataclasses.dataclass(frozen=True)
class Row:
    """One bar.

    parts: (share, colour), from left to right.
    interval: (low, high) of the first part.
    """

    label: str
    parts: Sequence[tuple[float, str]]
    interval: tuple[float, float]


def rows_of(results: Results) -> list[Row]:
    """Bars of the results: rates by model, or shares of good, same and bad votes by question."""
    rows = [
        Row(f"{model}: {name}", [(own.share, GOOD)], (own.low, own.high))
        for model, rates in results.rates.items()
        for name, own in rates.items()
        if own.share is not None
    ]
    for name, own in results.preferences.items():
        if own is not None:
            parts = [(own.win.value, GOOD), (own.tie.value, EQUAL), (own.loss.value, BAD)]
            rows.append(Row(name, parts, (own.win.low, own.win.high)))
    return rows


def write_bars(path: Path, title: str, rows: Sequence[Row]) -> None:
    """Writes the picture.

    Raises:
        ValueError: an output that cannot be written.
    """
    height = 2 * MARGIN + ROW * (len(rows) + 1) + GAP
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), WHITE)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(TEXT_PX * SCALE)
    _text(draw, font, MARGIN, MARGIN + TEXT_PX / 2, title, INK, "lm")
    left, right = MARGIN + LABEL + GAP, WIDTH - MARGIN - VALUE
    top = MARGIN + ROW
    for tick in range(0, 101, 25):
        x = left + (right - left) * tick / 100
        _line(draw, x, top, x, height - MARGIN - GAP, LINE)
        _text(draw, font, x, height - MARGIN + 2, f"{tick}%", SOFT, "mm")
    for number, row in enumerate(rows):
        middle = top + ROW * (number + 0.5)
        label = _fitting(draw, font, row.label)
        _text(draw, font, MARGIN + LABEL, middle, label, INK, "rm")
        x = float(left)
        for share, colour in row.parts:
            end = x + share * (right - left)
            _box(draw, x, middle - BAR / 2, end, middle + BAR / 2, colour)
            x = end
        low, high = (left + share * (right - left) for share in row.interval)
        _line(draw, low, middle, high, middle, INK)
        for end in (low, high):
            _line(draw, end, middle - 5, end, middle + 5, INK)
        _text(draw, font, right + GAP, middle, f"{row.parts[0][0]:.1%}", INK, "lm")
    with completed(path) as partial:
        image.save(partial, format="PNG", optimize=True)


def _fitting(draw: Draw, font: Font, text: str) -> str:
    """The text, or its two ends if it is too long."""
    shown, most = text, len(text)
    while draw.textlength(shown, font=font) > LABEL * SCALE:
        most -= 2
        shown = f"{text[: most // 2]}…{text[len(text) - most // 2 :]}"
    return shown


def _text(draw: Draw, font: Font, x: float, y: float, text: str, colour: str, anchor: str) -> None:
    draw.text((x * SCALE, y * SCALE), text, fill=colour, font=font, anchor=anchor)


def _line(draw: Draw, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
    points = [(x1 * SCALE, y1 * SCALE), (x2 * SCALE, y2 * SCALE)]
    draw.line(points, fill=colour, width=round(1.5 * SCALE))


def _box(draw: Draw, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
    left, right = round(x1 * SCALE), round(x2 * SCALE) - 1  # both are part of the box
    if left <= right:
        draw.rectangle([left, y1 * SCALE, right, y2 * SCALE], fill=colour)
