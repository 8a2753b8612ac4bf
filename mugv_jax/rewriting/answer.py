# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is accepted as a description in the answer of a language model."""

import re
from typing import NamedTuple

from mugv_jax.files import check_text, shortened

MOST_CHARACTERS = 4000  # about 700 words: no caption, and more than a text encoder reads
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_UNENDED = re.compile(r"<think(?:ing)?>")
_FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)
_LABEL = re.compile(
    r"^(?:\*\*)?(?:caption|description|prompt)(?:\*\*)?:(?:\*\*)?\s*", re.IGNORECASE
)
# A caption is about the clip; an answer that begins with the model itself is none.
_REFUSAL = re.compile(
    r"^(?:i\W?m sorry|i am sorry|sorry\b|i apologi[sz]e|i can\W?t|i cannot|i can not|i\W?m unable|"
    r"i am unable|i\W?m not able|i am not able|i won\W?t|as an ai\b|unfortunately, i\b)",
    re.IGNORECASE,
)


class RewritingError(ValueError):
    """No description could be had: the model did not answer, refused, or wrote no text."""


class Answer(NamedTuple):
    """Answer of a model.

    cut: the model stopped at a limit of tokens, not at an end.
    tokens: those that it read and wrote; 0 if it does not say.
    """

    text: str
    cut: bool = False
    tokens: tuple[int, int] = (0, 0)


def description(answer: Answer, model: str) -> str:
    """The description in an answer, in one line; of a cut one, its whole sentences.

    Thoughts in tags, code fences, labels and quotation marks around it are dropped.

    Raises:
        RewritingError: nothing is left, a refusal, or a text too long for a caption.
    """
    text = _THOUGHT.sub("", answer.text).strip()
    fenced = _FENCE.match(text)
    text = " ".join(_LABEL.sub("", fenced[1] if fenced else text).split())
    if len(text) > 1 and text[0] in "\"'“" and text[-1] in "\"'”":
        text = text[1:-1].strip()
    if answer.cut:
        text = text[: max(text.rfind(end) for end in ".!?") + 1]
    if not text or _UNENDED.match(text):
        reason = "its answer was cut off before a sentence ended" if answer.cut else "no text"
        raise RewritingError(f"{model} answered with nothing to use ({reason}).")
    if _REFUSAL.match(text):
        raise RewritingError(f"{model} refused: {shortened(text, 200)!r}.")
    if len(text) > MOST_CHARACTERS:
        raise RewritingError(
            f"{model} answered with {len(text)} characters; a description has at most "
            f"{MOST_CHARACTERS}."
        )
    check_text(f"the answer of {model}", text)
    return text
