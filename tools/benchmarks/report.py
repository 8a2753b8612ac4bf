# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Report of measurements: rows as a Markdown table."""

import math
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

COLUMNS = (
    "task",
    "variant",
    "ms",
    "value",
    "ceiling",
    "share",
    "PyTorch",
    "ratio",
    "spread",
    "peak GiB",
    "first call s",
    "error",
)


def complete(rows: list[Row], ceilings: Row) -> None:
    """Add what follows from other rows: ceilings, shares, PyTorch's best, and ratios to it."""
    best = {}
    for row in rows:
        if not row["ours"] and "median_s" in row:
            known = best.get(row["task"])
            best[row["task"]] = min((known or row, row), key=lambda each: each["median_s"])
    for row in rows:
        if "median_s" not in row:
            continue
        row["ceiling"] = row.get("ceiling", ceilings.get(row["unit"]))
        if row["ceiling"]:
            row["share"] = row["value"] / row["ceiling"]
        peak = ceilings.get(f"datasheet {row['unit']}")
        if peak:
            row["datasheet_share"] = row["value"] / peak
        fastest = best.get(row["task"])
        if fastest is not None:
            row["best_pytorch"] = {
                "variant": fastest["variant"],
                "value": fastest["value"],
                "unit": fastest["unit"],
            }
            row["ratio"] = row["median_s"] / fastest["median_s"]
            if row.get("cpu_median_s") and fastest.get("cpu_median_s"):
                row["cpu_ratio"] = row["cpu_median_s"] / fastest["cpu_median_s"]


def table(rows: Sequence[Row]) -> str:
    """Markdown table; the ratio is the row's time over that of PyTorch's best variant."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(_line(row)) + " |" for row in rows]
    return "\n".join(lines)


def ceilings_text(ceilings: Row) -> str:
    """The measured ceilings as a sentence."""
    if "failed" in ceilings:
        return f"Ceilings failed: {ceilings['failed']}"
    peak = ceilings["datasheet TFLOP/s"]
    return (
        f"{ceilings['environment']['device']}: copy {ceilings['GB/s']:.0f} GB/s, matrix product "
        f"{ceilings['TFLOP/s']:.3g} TFLOP/s"
        + (f" of {peak:.0f} in its data sheet." if peak else ".")
    )


def _line(row: Row) -> list[str]:
    if "failed" in row:
        return [row["task"], row["variant"], row["failed"], *[""] * (len(COLUMNS) - 3)]
    best = row.get("best_pytorch") if row["ours"] else None
    return [
        row["task"],
        row["variant"],
        digits(row["median_s"] * 1e3),
        f"{digits(row['value'])} {row['unit']}",
        _or_dash(row, "ceiling", digits),
        _share(row),
        f"{digits(best['value'])} ({best['variant'].removeprefix('PyTorch ')})"
        if best and row["ours"]
        else "-",
        _or_dash(row, "ratio", "{:.2f}".format),
        _or_dash(row, "spread", "{:.1%}".format),
        _or_dash(row, "peak_bytes", lambda v: f"{v / 2**30:.1f}") if row.get("memory") else "-",
        _or_dash(row, "first_call_s", "{:.1f}".format),
        _or_dash(row, "error", "{:.1e}".format),
    ]


def _share(row: Row) -> str:
    share = _or_dash(row, "share", "{:.1%}".format)
    if "datasheet_share" in row:
        share += f" ({row['datasheet_share']:.1%} of the data sheet's)"
    return share


def _or_dash(row: Row, key: str, form: Any) -> str:
    return "-" if row.get(key) is None else form(row[key])


def digits(value: float) -> str:
    """Number with three significant digits and all digits before the point."""
    if value <= 0:
        return f"{value:.3g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"
