# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores as text tables: shares in percent, each with its 95% interval."""

from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.demo.eval.score import DISTANCE, MEASURES, PHYSICS, QUALITIES, SEEN, SPLITS, UNSEEN
from mugv_jax.eval.tables import markdown

TITLES = {
    "truth": "the clips themselves",
    "vae": "VAE reconstruction",
    "t2v": "text to video",
    "i2v": "image to video",
    "diversity": "text to video, several",
}
ROWS = {SEEN: "seen", UNSEEN: "unseen", "difference": "seen - unseen"}
UNITS = {"psnr": ("PSNR", "{:.2f}"), "ssim": ("SSIM", "{:.4f}")}

Scores = Mapping[str, Mapping[str, Any]]


def report_text(scores: Scores) -> str:
    """Tables of shares and qualities, and a list of confusions."""
    shares = [["what", "combinations", "clips", *MEASURES]]
    qualities = [["what", "combinations", *(UNITS[q][0] for q in QUALITIES)]]
    distances = [["what", "combinations", "distance of two videos of a caption"]]
    for title, split, row in _rows(scores):
        shares.append([title, ROWS[split], str(row.get("clips", "")), *_shares(row, split)])
        if set(QUALITIES) <= row.keys():
            measured = (_estimate(row[quality], UNITS[quality][1]) for quality in QUALITIES)
            qualities.append([title, ROWS[split], *measured])
        if DISTANCE in row:
            distances.append([title, ROWS[split], _estimate(row[DISTANCE], "{:.4f}")])
    parts = [markdown(table) for table in (shares, qualities, distances) if len(table) > 1]
    mistakes = list(_mistakes(scores))
    if mistakes:
        parts.append("\n".join(["taken for another, and physical errors:", *mistakes]))
    return "\n\n".join(parts) + "\n"


def sweep_text(report: Mapping[str, Any]) -> str:
    """Table of the shares of a sweep, one row per task, split and value."""
    rows = [["what", "combinations", report["sweep"], *MEASURES]]
    for task, title in TITLES.items():
        for split in SPLITS:
            for entry in report["entries"]:
                row = entry["scores"].get(task, {}).get(split)
                if row is not None:
                    rows.append([title, ROWS[split], f"{entry['value']:g}", *_shares(row, split)])
    return markdown(rows) + "\n"


def _rows(scores: Scores) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Title of the task, split and scores, as far as there are any."""
    for task, title in TITLES.items():
        for split in ROWS:
            if split in scores.get(task, {}):
                yield title, split, scores[task][split]


def _shares(row: Mapping[str, Any], split: str) -> list[str]:
    """Cells of all measures, in percent."""
    sign = "+" if split == "difference" else ""
    return [_estimate(row[measure], f"{{:{sign}.1f}}", 100) for measure in MEASURES]


def _estimate(estimate: Mapping[str, float], form: str, unit: float = 1) -> str:
    """Cell of a value and its interval."""
    value, low, high = (form.format(unit * estimate[end]) for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _mistakes(scores: Scores) -> Iterator[str]:
    """Confusions and physical errors, one line per task, split and field that has any."""
    for title, split, row in _rows(scores):
        for field, counts in row.get("confusion", {}).items():
            wrong = [
                (count, f"{asked} -> {read} {count}")
                for asked, reads in counts.items()
                for read, count in reads.items()
                if read != asked
            ]
            if wrong:
                ordered = ", ".join(text for _, text in sorted(wrong, key=lambda x: -x[0]))
                yield f"  {title}, {ROWS[split]}, {field}: {ordered}"
        if row.get("faults"):
            counted = ", ".join(f"{kind} {count}" for kind, count in row["faults"].items())
            yield f"  {title}, {ROWS[split]}, {PHYSICS}: {counted}"
