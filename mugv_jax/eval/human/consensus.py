# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Consensus of the annotators of one item.

The consensus is the answer that more than half of an item's annotators gave, and at least two of
them if two or more were asked for (MUG-V 6.2: at least two of three).
"""

import collections
import dataclasses
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

Answer = TypeVar("Answer", bound=Hashable)
AGREED, TIED, UNFINISHED = "agreed", "tied", "unfinished"


@dataclasses.dataclass(frozen=True)
class Consensus(Generic[Answer]):
    """What the annotators of one item agreed on.

    state: AGREED; TIED if all annotators have answered, without a majority; UNFINISHED if there is
        no majority yet and answers are missing.
    answer: the answer of the majority; None unless AGREED.
    votes: number of annotators that gave the answer, or that gave the most frequent one.
    of: number of annotators that have answered.
    """

    state: str
    answer: Answer | None
    votes: int
    of: int


def consensus(answers: Sequence[Answer], wanted: int) -> Consensus[Answer]:
    """Consensus of the answers of one item.

    answers: one of each annotator, in any order.
    wanted: annotators that the item was to have.

    Raises:
        ValueError: no annotator is wanted.
    """
    if wanted < 1:
        raise ValueError(f"wanted={wanted} annotators must be at least 1.")
    count = len(answers)
    counted = collections.Counter(answers).most_common()
    top, votes = counted[0] if counted else (None, 0)
    needed = max(min(2, wanted), max(count, wanted) // 2 + 1)
    if votes >= needed:
        return Consensus(AGREED, top, votes, count)
    if count >= wanted:
        return Consensus(TIED, None, votes, count)
    return Consensus(UNFINISHED, None, votes, count)
