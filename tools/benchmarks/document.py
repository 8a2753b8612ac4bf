# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes what an hour on a GPU has measured into docs/benchmarks.md.

    python -m tools.benchmarks.document gpu_hour

One section per device, between two markers, which is replaced when the device is measured again.
The folder's JSON files are copied to docs/benchmarks/, so that every figure can be traced.
"""

import argparse
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.benchmarks import gpu_hour, report

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEFORE = "## TPU"  # a new section stands before it
# Figures of a part that makes videos, and the heads of their columns.
FIGURES = {
    "seconds_per_step": "s a step",
    "denoising_s": "denoising s",
    "decoding_s": "decoding s",
    "peak_gib": "peak GiB",
}
END = "<!-- end of the measured section -->"


def measured(folder: Path) -> list[dict]:
    """Results of all suites of an hour, in the order of their files' names.

    Raises:
        ValueError: none.
    """
    files = sorted(file for file in folder.glob("*.json") if file.name != gpu_hour.LEDGER)
    if not files:
        raise ValueError(f"{folder} has no results: fill it with tools.benchmark --gpu-hour.")
    return [json.loads(file.read_text()) for file in files]


def section(folder: Path) -> tuple[str, str]:
    """(name of the device, its section)."""
    results = measured(folder)
    first = next(each for each in results if "environment" in each["ceilings"])
    found, options = first["ceilings"]["environment"], first["options"]
    versions = ", ".join(f"{name} {found[name]}" for name in ("jax", "torch") if found.get(name))
    ledger = json.loads((folder / gpu_hour.LEDGER).read_text())
    lines = [
        f"## {found['device']}, {options['dtype']}, measured {first['date']}",
        "",
        f"Size `{options['size']}`; {versions}, CUDA {found.get('cuda')}; "
        f"`docs/benchmarks/{_slug(found['device'])}/`. {report.ceilings_text(first['ceilings'])}",
        "",
        report.table([row for each in results for row in each["rows"]]),
        "",
        f"| {' | '.join(('part', 'answers', 'ended', *FIGURES.values()))} |",
        "| --- " * (3 + len(FIGURES)) + "|",
        *(
            f"| {' | '.join((name, row['answers'], row['status'], *_figures(row)))} |"
            for name, row in ledger.items()
        ),
        "",
        "What the figures argue for:",
        "",
        *(f"- {line}" for line in gpu_hour.advice(folder)),
    ]
    return found["device"], "\n".join(lines)


def write(folder: Path, document: Path = DOCUMENT) -> str:
    """Puts the section into the document and copies the results; returns the device's name.

    Raises:
        ValueError: no results, or a document without a place for the section.
    """
    device, text = section(folder)
    begin = f"<!-- measured on {device} -->"
    block = f"{begin}\n{text}\n{END}\n"
    old = document.read_text()
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(END) + "\n", re.DOTALL)
    if pattern.search(old):
        new = pattern.sub(lambda _: block, old)
    elif f"\n{BEFORE}\n" in old:
        new = old.replace(f"\n{BEFORE}\n", f"\n{block}\n{BEFORE}\n", 1)
    else:
        raise ValueError(f"{document} has no heading {BEFORE!r}, before which the section stands.")
    document.write_text(new)
    kept = document.parent / "benchmarks" / _slug(device)
    kept.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.json"):
        shutil.copyfile(file, kept / file.name)
    return device


def _figures(row: Mapping[str, Any]) -> list[str]:
    return [str(row.get(name, "")) for name in FIGURES]


def _slug(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the section of the folder that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of tools.benchmark --gpu-hour")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    args = parser.parse_args(argv)
    print(f"{args.document}: the section of {write(args.folder, args.document)}")


if __name__ == "__main__":
    main()
