# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Kinds of labelling sets: what is shown, what is asked, and which answers there are.

pairs      two videos side by side: which is better (MUG-V 2.2.2, ContentV 8)
single     one video: pass or fail by each question (absolute labels, MUG-V 2.2.2)
ecommerce  one video in three stages, each for those that passed the one before (MUG-V 6.2, B.2)
review     one clip: grades of 1 (bad) to 5 (good), of `data review` (MUG-V 2.2.1)
"""

import dataclasses
import re
from collections.abc import Mapping

from mugv_jax.curate.review import GREATEST, LABELS, WORST

PAIRS, SINGLE, ECOMMERCE, REVIEW = "pairs", "single", "ecommerce", "review"
LEFT, SAME, RIGHT = SIDES = ("left", "same", "right")
PASS, FAIL = VERDICTS = ("pass", "fail")
GRADES = tuple(str(grade) for grade in range(WORST, GREATEST + 1))
ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST_TEXT = 300  # characters of a question


@dataclasses.dataclass(frozen=True)
class Question:
    """One question about an item.

    id: name of its column in tables.
    text: as annotators read it; it is worded so that `pass` is the good answer.
    """

    id: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of labelling set.

    clips: videos of an item.
    answers: to every question.
    ordered: whether the answers go from worst to best, or from one side to the other.
    stages: questions that are asked together, stage after stage.
    fixed: whether the questions cannot be replaced.
    """

    clips: int
    answers: tuple[str, ...]
    ordered: bool
    stages: tuple[tuple[Question, ...], ...]
    fixed: bool = False


KINDS: Mapping[str, Kind] = {
    PAIRS: Kind(
        clips=2,
        answers=SIDES,
        ordered=True,
        stages=(
            (
                Question("aesthetics", "Which looks better?"),
                Question("motion_smoothness", "Which moves more smoothly?"),
                Question("visual_errors", "Which has fewer visual errors?"),
                Question("overall", "Which is better overall?"),
            ),
        ),
    ),
    SINGLE: Kind(
        clips=1,
        answers=VERDICTS,
        ordered=False,
        stages=(
            (
                Question("prompt", "Does it show what the prompt says?"),
                Question("subject", "Does the subject stay the same throughout?"),
                Question("errors", "Is it free of physical and rendering errors?"),
            ),
        ),
    ),
    ECOMMERCE: Kind(
        clips=1,
        answers=VERDICTS,
        ordered=False,
        stages=(
            (Question("natural", "Could it be a real recording, not recognisably generated?"),),
            (Question("product", "Is the product the same as in the picture?"),),
            (Question("quality", "Is the quality high?"),),
        ),
        fixed=True,
    ),
    REVIEW: Kind(
        clips=1,
        answers=GRADES,
        ordered=True,
        stages=(
            (
                Question(LABELS[0], "How continuous is the motion?"),
                Question(LABELS[1], "How stable is the content?"),
                Question(LABELS[2], "How good is the picture?"),
            ),
        ),
        fixed=True,
    ),
}


def parse_question(text: str) -> Question:
    """The question of `ID=TEXT`.

    Raises:
        ValueError: another form.
    """
    name, equals, words = text.partition("=")
    if not equals or not ID.fullmatch(name) or not 0 < len(words.strip()) <= MOST_TEXT:
        raise ValueError(
            f"question {text[:60]!r} must be ID=TEXT, ID of lower-case letters, digits and '_', "
            f"at most 40, and TEXT of at most {MOST_TEXT} characters, such as "
            "'colours=Which has better colours?'."
        )
    return Question(name, words.strip())
