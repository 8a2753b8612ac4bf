# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The error of a sample that cannot be used, and how several such errors are listed."""

from collections.abc import Iterable, Sequence

SHOWN = 5  # lines of a list


class BadSample(ValueError):
    """One sample cannot be used; the message names its file and the reason."""


class Skipped(list[str]):
    """A line for each sample that was left out, at most `limit` of them.

    trouble: what the error of one sample too many says, such as "files cannot be used".

    Raises:
        ValueError: from `add` and `check`, if there are more than `limit` lines.
    """

    def __init__(self, limit: int, trouble: str, lines: Iterable[str] = ()):
        super().__init__(lines)
        self._limit, self._trouble = limit, trouble

    def add(self, line: str) -> None:
        """Adds the line of one more sample."""
        self.append(line)
        self.check()

    def check(self) -> None:
        """Refuses more lines than the limit."""
        if len(self) > self._limit:
            told = listed(self, "is bad", "are bad")
            raise ValueError(f"more than max bad={self._limit} {self._trouble}. {told}")


def listed(lines: Sequence[str], one: str, many: str) -> str:
    """The number of `lines` and the first few of them, each on a line of its own.

    one, many: words after the number, such as "file was skipped" and "files were skipped".
    """
    shown = [f"  {line}" for line in lines[:SHOWN]]
    if len(lines) > SHOWN:
        shown.append(f"  and {len(lines) - SHOWN} more")
    return "\n".join([f"{len(lines)} {one if len(lines) == 1 else many}:", *shown])
