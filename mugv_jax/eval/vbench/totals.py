# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Group and total scores out of the results of VBench's tool.

    NAME_eval_results.json    {dimension: [mean, [...]]}, one or several dimensions a file

A score that lacks a dimension is None: the official scripts count a missing one as 0, which is a
score too.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mugv_jax.eval.tables import markdown
from mugv_jax.eval.vbench.suites import SUITES, Suite, suite_of
from mugv_jax.files import read_json, shortened
from mugv_jax.problems import Problems

RESULTS = "*_eval_results.json"
TOTAL = "total"


def read_results(places: Iterable[Path]) -> dict[str, float]:
    """Value of every dimension in files of results, or in all of a folder.

    Raises:
        ValueError: no results, other contents, or two values of one dimension; all together.
    """
    found: dict[str, tuple[float, Path]] = {}
    problems = Problems()
    for path in _files(places):
        with problems:
            for name, value in _read(path).items():
                known, first = found.setdefault(name, (value, path))
                if known != value:
                    problems.add(
                        ValueError(
                            f"{name} is {known:g} in {first}, but {value:g} in {path}: give one of "
                            "them."
                        )
                    )
    problems.check()
    return {name: value for name, (value, _) in found.items()}


def _files(places: Iterable[Path]) -> list[Path]:
    files = []
    for place in places:
        inside = sorted(place.rglob(RESULTS)) if place.is_dir() else [place]
        if not inside:
            raise ValueError(f"{str(place)!r} holds no {RESULTS}: run `eval vbench score` first.")
        files += inside
    return files


def _read(path: Path) -> dict[str, float]:
    results = read_json(path, "results")
    if not isinstance(results, dict) or not results:
        raise ValueError(f"{path}: no results of VBench, which are named dimensions.")
    known = {name for suite in SUITES.values() for name in suite.measured}
    return {
        name: _value(path, name, result, known=name in known) for name, result in results.items()
    }


def _value(path: Path, name: str, result: Any, *, known: bool) -> float:
    if not known:
        raise ValueError(f"{path}: {shortened(repr(name))} is no dimension of VBench.")
    value = result[0] if isinstance(result, list) and result else result
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(
            f"{path}: {name} is {shortened(repr(value))}, but must be a share from 0 to 1, as the "
            "first entry of a list."
        )
    return float(value)


def group_scores(suite: Suite, values: Mapping[str, float]) -> dict[str, float | None]:
    """Score of every group, None where a dimension is missing."""
    scores = {}
    for name, group in suite.groups.items():
        terms = [
            each.weight * each.normalised(values.get(dimension, math.nan))
            for dimension, each in group.dimensions.items()
        ]
        score = sum(terms) / sum(each.weight for each in group.dimensions.values())
        scores[name] = None if math.isnan(score) else score
    return scores


def total_score(suite: Suite, groups: Mapping[str, float | None]) -> float | None:
    """Weighted mean of the groups' scores, None where one is missing."""
    terms, shares = [], 0.0
    for name, group in suite.groups.items():
        score = groups[name]
        if score is None:
            return None
        terms.append(group.share * score)
        shares += group.share
    return sum(terms) / shares


def totals(values: Mapping[str, float]) -> dict[str, Any]:
    """Report of results: the suite, its dimensions, group scores, total, and what is missing."""
    suite = suite_of(values)
    groups = group_scores(suite, values)
    return {
        "suite": suite.title,
        "dimensions": {name: values[name] for name in suite.measured if name in values},
        "scores": {**groups, TOTAL: total_score(suite, groups)},
        "missing": [name for name in suite.dimensions if name not in values],
    }


def totals_text(report: Mapping[str, Any]) -> str:
    """Tables of a report in percent, and a line on what is missing."""
    suite = next(each for each in SUITES.values() if each.title == report["suite"])
    scores = [[suite.title, "score, %"]]
    for name, score in report["scores"].items():
        lacks = [each for each in report["missing"]
                 if name == TOTAL or each in suite.groups[name].dimensions]  # fmt: skip
        scores.append([name, f"lacks {len(lacks)}" if score is None else f"{100 * score:.2f}"])
    rows = [["dimension", "value, %", "normalised, %", "weight", "group"]]
    for group, each in suite.groups.items():
        for name, dimension in each.dimensions.items():
            value = report["dimensions"].get(name)
            cells = (
                ["missing", ""]
                if value is None
                else [f"{100 * value:.2f}", f"{100 * dimension.normalised(value):.2f}"]
            )
            rows.append([name, *cells, f"{dimension.weight:g}", group])
    text = f"{markdown(scores)}\n\n{markdown(rows)}\n"
    if report["missing"]:
        text += f"\nmissing: {', '.join(report['missing'])}\n"
    return text
