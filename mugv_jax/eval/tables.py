# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores as Markdown: one table in the form of MUG-V's Table 2, and one with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from mugv_jax.eval.measures import WEIGHTED

TITLES = {
    "psnr": ("PSNR, dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.4f}"),
    "lpips": ("LPIPS", "{:.4f}"),
    "flolpips": ("FloLPIPS", "{:.4f}"),
    "motion": ("motion", "{:.2f}"),
    "motion_made": ("its motion", "{:.2f}"),
}
SHORT = ("psnr", "ssim", "lpips", "flolpips")
MISSING = "no weights"

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


def scores_text(scores: Scores, what: str) -> str:
    """Both tables; `what` heads the rows, such as "VAE"."""
    resolutions = list(dict.fromkeys(r for row in scores.values() for r in row))
    heads = [f"{each} {TITLES[metric][0]}" for each in resolutions for metric in SHORT]
    short = [[what, *heads]]
    long = [[what, "at", "clips", *(title for title, _ in TITLES.values())]]
    for row, found in scores.items():
        cells = [
            _value(found[each], metric) if each in found else ""
            for each in resolutions
            for metric in SHORT
        ]
        short.append([row, *cells])
        for each in (each for each in resolutions if each in found):
            estimates = [_estimate(found[each], metric) for metric in TITLES]
            long.append([row, each, str(found[each]["clips"]), *estimates])
    return f"{markdown(short)}\n\nWith 95% intervals over clips:\n\n{markdown(long)}\n"


def _value(scores: Mapping[str, Any], metric: str) -> str:
    if metric not in scores:
        return MISSING if "lpips" not in scores and metric in WEIGHTED else "-"
    return TITLES[metric][1].format(scores[metric]["value"])


def _estimate(scores: Mapping[str, Any], metric: str) -> str:
    """Cell of a value and its interval, if it has one."""
    cell = _value(scores, metric)
    if metric not in scores or scores[metric]["low"] is None:
        return cell
    low, high = (TITLES[metric][1].format(scores[metric][end]) for end in ("low", "high"))
    return f"{cell} ({low} to {high})"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Table with aligned columns; the first row is its head."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, *body = (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in cells
    )
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([head, rule, *body])
