# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Results of a labelling set as Markdown."""

import collections
import math
import statistics
from collections.abc import Iterator, Sequence

from mugv_jax.eval.human.consensus import AGREED, TIED, UNFINISHED
from mugv_jax.eval.human.preferences import LEVEL, VERDICTS, Estimate
from mugv_jax.eval.human.rates import Rate
from mugv_jax.serve.label.questions import PAIRS
from mugv_jax.serve.label.results import Results

NONE = "–"


def report_text(results: Results) -> str:
    """The report: what was asked, preferences or rates, consensus, agreement, annotators."""
    labelset, interval = results.labelset, f"intervals of {LEVEL:.0%}"
    golden = sum(bool(item.known) for item in labelset.items)
    lines = [
        f"# Labels: {labelset.kind}",
        "",
        f"{len(labelset.items) - golden} items, {labelset.annotators} annotators each, "
        f"{len(results.answers)} answers of {len({a.annotator for a in results.answers})} "
        f"annotators; {interval}.",
    ]
    if results.left_out:
        lines += ["", f"Left out for their accuracy: {', '.join(results.left_out)}."]
    for part in (_preferences, _rates, _grades, _consensus, _agreement, _annotators):
        found = list(part(results))
        lines += ["", *found] if found else []
    return "\n".join(lines) + "\n"


def _preferences(results: Results) -> Iterator[str]:
    if not results.preferences:
        return
    first, second = results.labelset.models
    yield f"## {_cell(first)} against {_cell(second)}"
    yield ""
    yield (
        f"Votes that {_cell(first)} is better (good), equal or worse (bad). GSB = (good + same) / "
        "(bad + same); intervals by bootstrap over pairs."
    )
    yield ""
    yield from _table("question", "pairs", "good", "same", "bad", "GSB", "win", "tie", "loss")
    for name, own in results.preferences.items():
        if own is None:
            yield _row(name, 0, *[NONE] * 7)
            continue
        shares = (_percent(each) for each in (own.win, own.tie, own.loss))
        gsb = f"{_ratio(own.gsb.value)} ({_ratio(own.gsb.low)} to {_ratio(own.gsb.high)})"
        yield _row(name, own.pairs, own.good, own.same, own.bad, gsb, *shares)


def _rates(results: Results) -> Iterator[str]:
    if not results.rates:
        return
    names = list(next(iter(results.rates.values())))
    yield "## Rates"
    yield ""
    yield (
        "Share of clips that passed by consensus, of those that are decided; a tie is no pass. "
        "Wilson's intervals."
    )
    yield ""
    yield from _table("model", *names)
    for model, own in results.rates.items():
        yield _row(_cell(model), *(rate_text(own[name]) for name in names))


def _grades(results: Results) -> Iterator[str]:
    if not results.grades:
        return
    grades = results.labelset.rules.answers
    yield "## Grades"
    yield ""
    yield "Clips by the median of their grades, rounded down, and the mean of the medians."
    yield ""
    yield from _table("question", "clips", "mean", *grades)
    for name, own in results.grades.items():
        yield _row(name, own.clips, f"{own.mean:.2f}", *(own.counts[grade] for grade in grades))


def _consensus(results: Results) -> Iterator[str]:
    kind = results.labelset.kind
    answers = VERDICTS if kind == PAIRS else results.labelset.rules.answers
    yield "## Consensus"
    yield ""
    yield (
        "Items by the answer of more than half of their annotators, at least two of three. Ties "
        "have all answers and no majority; unfinished items lack answers."
    )
    yield ""
    yield from _table("question", *answers, "tied", "unfinished")
    for question in results.labelset.questions:
        states = results.states(question.id)
        counts = [
            sum(
                found.state == AGREED and found.answer == answer
                for (_, name), found in results.decisions.items()
                if name == question.id
            )
            for answer in answers
        ]
        yield _row(question.id, *counts, states.get(TIED, 0), states.get(UNFINISHED, 0))
    tied = [
        f"{_names(results)[item]} ({question})"
        for (item, question), found in results.decisions.items()
        if found.state == TIED
    ]
    if tied:
        yield ""
        yield f"Ties: {', '.join(_cell(each) for each in sorted(tied))}."


def _agreement(results: Results) -> Iterator[str]:
    yield "## Agreement"
    yield ""
    yield (
        "Krippendorff's alpha over items with two or more answers; Fleiss' kappa over those with "
        "equally many. 1 is full agreement, 0 that of chance."
    )
    yield ""
    levels = list(next(iter(results.agreement.values())).alpha)
    yield from _table("question", "items", *(f"alpha, {each}" for each in levels), "kappa")
    for name, own in results.agreement.items():
        alphas = (_number(own.alpha[level]) for level in levels)
        kappa = f"{_number(own.kappa)} ({own.kappa_items} items)"
        yield _row(name, own.items, *alphas, kappa)


def _annotators(results: Results) -> Iterator[str]:
    yield "## Annotators"
    yield ""
    yield "Answers that count, the median time of an item, and answers about golden items."
    yield ""
    yield from _table("annotator", "answers", "seconds", "right about golden items", "left out")
    times: dict[str, dict[str, float]] = collections.defaultdict(
        dict
    )  # until an item's last answer
    counts = collections.Counter(each.annotator for each in results.answers)
    for each in results.answers:
        own = times[each.annotator]
        own[each.item] = max(own.get(each.item, 0.0), each.seconds or 0.0)
    for name in sorted({*counts, *results.accuracy}):
        seconds = f"{statistics.median(times[name].values()):.1f}" if times[name] else NONE
        right = rate_text(results.accuracy[name]) if name in results.accuracy else NONE
        left_out = "yes" if name in results.left_out else ""
        yield _row(_cell(name), counts[name], seconds, right, left_out)


def rate_text(rate: Rate) -> str:
    """A rate with its counts and interval."""
    if rate.share is None:
        return NONE
    return f"{rate.share:.1%} ({rate.count} of {rate.of}; {rate.low:.1%} to {rate.high:.1%})"


def _names(results: Results) -> dict[str, str]:
    return {item.id: item.name for item in results.labelset.items}


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def _ratio(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.2f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _table(*names: str) -> Sequence[str]:
    return [_row(*names), f"|{' --- |' * len(names)}"]


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cell(text: str) -> str:
    """Text of users in Markdown, in which nothing of it is markup."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
