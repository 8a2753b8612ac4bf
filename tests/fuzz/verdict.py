# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What the answer of a command to a bad command line must be."""

import dataclasses
import re
from collections.abc import Collection
from pathlib import Path

MOST_LINES, MOST_CHARACTERS = 3, 2000  # of the message
MOST_LISTED, MOST_LISTED_CHARACTERS = 20, 700  # errors of a numbered list, and of each
LIST = re.compile(r"mugv-jax[^:]*: (\d+) things are wrong:$")
MOST_LOGGED = 12  # lines before it: sizes, warnings
RAN = "FOREIGN_CODE_RAN"  # name of the file that foreign code makes
CACHE = ".shapes.npz"  # the index of a train.csv, complete and of use to the next command
# A message states the rule or what is wrong; all end in what can be done or what was found.
RULE = re.compile(
    r"must|at most|at least|cannot|does not|do not|is not|is no |not a |has no|no such|needs?\b|"
    r"lacks|unknown|unrecognized|damaged|invalid|exclude|exists|mixed up|refused|empty|missing|"
    r"not known|not JSON|not UTF-8|too |ends too early|holds|state|give |name |write |there is no|"
    r"there are|incomplete|larger|beyond|required|expected|changed|failed|leave|"
    r"allowed|takes|ask for|needed|deep|range",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One command line.

    kind: what is wrong with it.
    argv: arguments of `mugv-jax`.
    named: texts of which the message must contain one: a value, an option or a file.
    fine: the command may succeed: the input is odd, but not bad.
    """

    kind: str
    argv: tuple[str, ...]
    named: tuple[str, ...]
    fine: bool = False


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command did: its status (negative for a signal), streams and new files."""

    status: int
    out: str
    err: str
    made: Collection[str]
    seconds: float = 0.0
    rss_bytes: int = 0


def faults(case: Case, answer: Answer) -> list[str]:
    """What is wrong with an answer; empty if nothing is."""
    if any(RAN in name for name in answer.made):
        return ["foreign code ran"]
    if "Traceback" in answer.err or "Exception ignored" in answer.err:
        return [f"a traceback: {answer.err.strip().splitlines()[-1][:300]}"]
    if answer.status == 0:
        return [] if case.fine else ["accepted"]
    if answer.status not in (1, 2):
        return [f"status {answer.status}"]
    found = []
    lines = answer.err.strip().splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("mugv-jax")]
    message = "\n".join(lines[starts[-1] :] if starts else lines[-1:])
    if not message:
        return ["no message"]
    said = message.splitlines()
    if LIST.match(said[0]):
        found += _list_faults(said)
    elif len(said) > MOST_LINES or len(message) > MOST_CHARACTERS:
        found.append(f"a message of {len(said)} lines, {len(message)} characters")
    if len(lines) - len(said) > MOST_LOGGED:
        found.append(f"{len(lines)} lines on stderr")
    if not RULE.search(message):
        found.append("no rule")
    if case.named and not any(name in message for name in case.named):
        found.append(f"none of {case.named} is named")
    if answer.made:
        found.append(f"left behind: {', '.join(sorted(answer.made)[:5])}")
    return [f"{fault}: {message[:300]!r}" for fault in found]


def _list_faults(said: list[str]) -> list[str]:
    """What is wrong with a list of several errors: each must be a message of its own."""
    items = said[1:-1] if said[-1].startswith("  and ") else said[1:]
    found = []
    if len(items) > MOST_LISTED:
        found.append(f"a list of {len(items)} errors")
    for number, item in enumerate(items, 1):
        if not item.startswith(f"  {number}. ") or len(item) > MOST_LISTED_CHARACTERS:
            found.append(f"item {number} of a list: {item[:80]!r}, {len(item)} characters")
        elif not RULE.search(item):
            found.append(f"no rule in item {number}: {item[:80]!r}")
    return found


def tree(folder: Path) -> set[str]:
    """Paths of all that is in a folder, without following links."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in found if not name.endswith(CACHE)}
