# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What each annotator sees in which order, and on which side: drawn from the set's seed.

Orders and sides follow from the seed, the annotator's name and the item's, so that they can be
computed again; sides are kept with every answer besides.
"""

import hashlib
from collections.abc import Sequence

from mugv_jax.eval.human.preferences import FIRST, SECOND
from mugv_jax.eval.human.preferences import SAME as EQUAL
from mugv_jax.serve.label.labelset import Item, LabelSet
from mugv_jax.serve.label.questions import LEFT, RIGHT, SAME


def order_of(labelset: LabelSet, annotator: str) -> list[Item]:
    """All items in the order of an annotator.

    One of `golden_every` items in turn is golden, at a random place among them, until there are
    none left.
    """
    every = labelset.golden_every
    plain = _drawn([item for item in labelset.items if not item.known], labelset, annotator)
    golden = _drawn([item for item in labelset.items if item.known], labelset, annotator)
    made: list[Item] = []
    while plain:
        block, plain = plain[: every - 1], plain[every - 1 :]
        if golden:
            place = _number(labelset, annotator, f"place {len(made)}") % (len(block) + 1)
            block.insert(place, golden.pop(0))
        made += block
    return made + golden


def swapped(labelset: LabelSet, annotator: str, item: Item) -> bool:
    """Whether an annotator sees the second video of a pair on the left."""
    return len(item.clips) == 2 and _number(labelset, annotator, f"side {item.id}") % 2 == 1


def verdict_of(side: str, left_clip: int) -> str:
    """Which video of a pair is better, from the side that is; video `left_clip` is on the left."""
    if side == SAME:
        return EQUAL
    return FIRST if (side == LEFT) == (left_clip == 0) else SECOND


def side_of(answer: str, left_clip: int | None) -> str:
    """The side that `verdict_of` was given; for other kinds the answer itself."""
    if left_clip is None or answer == EQUAL:
        return answer
    return LEFT if (answer == FIRST) == (left_clip == 0) else RIGHT


def _drawn(items: Sequence[Item], labelset: LabelSet, annotator: str) -> list[Item]:
    return sorted(items, key=lambda item: _number(labelset, annotator, f"order {item.id}"))


def _number(labelset: LabelSet, annotator: str, what: str) -> int:
    text = f"{labelset.seed}/{annotator}/{what}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
