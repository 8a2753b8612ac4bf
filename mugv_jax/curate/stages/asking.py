# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Captions, flags and tags of clips by models behind an OpenAI-compatible server (vLLM, SGLang).

    captioner   frames, one a second -> a paragraph: objects, looks, motion, background (MUG-V 2.1)
    filter      frames -> text overlays, large borders, effects, changed speed, shake (MUG-V 2.1)
    tagger      a caption -> subjects, actions and scenes, by which the set is balanced (MUG-V 2.1)

ContentV 3 captions at one frame a second too. What a model is asked is in `curate/prompts/`.
Answers are kept on disk by the content of the question, so that none is paid for twice.
"""

import abc
import dataclasses
import functools
import hashlib
import io
import json
import logging
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from mugv_jax.bounds import require_at_least
from mugv_jax.curate.frames import read_frames
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.data.whole_files import write_whole
from mugv_jax.files import parse_json, read_json, shortened, user_path
from mugv_jax.rewriting.answer import Answer, RewritingError, description
from mugv_jax.rewriting.endpoint import KEY, Endpoint

log = logging.getLogger(__name__)

PROMPTS = Path(__file__).parents[1] / "prompts"
FLAGS = (
    "text_overlay", "large_borders", "special_effects", "changed_speed", "shake", "private_data",
    "forbidden_content",
)  # fmt: skip
TAGS = ("subjects", "actions", "scenes")
ABOUT_THE_QUESTION = (400, 413, 422)  # statuses that say nothing about the next question
MOST_TAGS, LONGEST_TAG = 3, 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asking(Stage):
    """Asks a model about every clip; derived classes say what.

    model: name of the model on the server; "" leaves the stage out.
    base_url: the server, such as http://localhost:8000/v1; the key is OPENAI_API_KEY, if it is set.
    timeout_s: seconds for one answer, with retries.
    at_once: questions that are asked at the same time.
    per_minute: largest number of questions in a minute; 0 sets no limit.
    side_px: short side of the frames that are sent.
    most_frames: frames that are sent at most, evenly spaced.
    cache: folder of the answers.
    price_in, price_out: of a million tokens that are read and written, for the log.
    """

    PROMPT: ClassVar[str]
    READS = ("clip", "path", "start_s", "end_s")
    MODEL = True
    PACKAGES = ("cv2",)

    model: str = ""
    base_url: str = "http://localhost:8000/v1"
    timeout_s: float = 300.0
    at_once: int = 8
    per_minute: int = 0
    side_px: int = 480
    most_frames: int = 16
    cache: str = "~/.cache/mugv_jax/curated"
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self):
        require_at_least(1, self, "at_once", "most_frames")
        require_at_least(0, self, "per_minute", "price_in", "price_out")
        if not self.timeout_s > 0:
            raise ValueError(f"timeout_s={self.timeout_s} must be above 0.")

    def check(self) -> None:
        super().check()
        try:
            known = self._endpoint.check()
        except ValueError as error:
            raise ValueError(f"--config.{self.NAME}.base_url: {error}") from error
        if known and self.model not in known:
            log.warning(
                "%s: %s lists no model %r, only %s.", self.NAME, self.base_url, self.model,
                shortened(", ".join(known), 200),
            )  # fmt: skip

    @property
    def prompt(self) -> str:
        """What the model is asked."""
        return (PROMPTS / self.PROMPT).read_text()

    def run(self, rows: Sequence[Row]) -> list[Row]:
        spent, _ = self._spent, self._limit  # made before threads share them
        with ThreadPoolExecutor(self.at_once) as pool:
            found = list(pool.map(self._answered, rows))
        log.info("%s: %s", self.NAME, spent)
        return [{**row, **each} for row, each in zip(rows, found, strict=True)]

    @abc.abstractmethod
    def read(self, answer: Answer) -> Row:
        """Columns of an answer.

        Raises:
            ValueError: it is not what was asked for.
        """

    @abc.abstractmethod
    def question(self, row: Row) -> tuple[str, list[bytes]]:
        """Words, and pictures as JPEG, that are sent with the prompt."""

    @functools.cached_property
    def _endpoint(self) -> Endpoint:
        key = os.environ.get(KEY)
        return Endpoint(model=self.model, base_url=self.base_url, key=key, timeout_s=self.timeout_s)

    @functools.cached_property
    def _spent(self) -> "Spent":
        return Spent(self.price_in, self.price_out)

    @functools.cached_property
    def _limit(self) -> "RateLimit":
        return RateLimit(self.per_minute)

    def _answered(self, row: Row) -> Row:
        """Columns of a clip; all None, with the reason logged, if the answer cannot be used."""
        words, pictures = self.question(row)
        key = self._key(words, pictures)
        kept = self._kept(key)
        try:
            answer = kept or self._ask(words, pictures)
            columns = self.read(answer)
        except RewritingError as error:
            about_it = any(f"HTTP status {code}:" in str(error) for code in ABOUT_THE_QUESTION)
            if not about_it and str(error).startswith(f"{self.model} at {self.base_url}"):
                # Without an answer there is nothing to keep: the clip is asked about again later.
                raise ServerGone(
                    f"{error} What was answered is kept; run the command again."
                ) from error
            self._spent.refuse()
            log.warning("%s of %s: %s", self.NAME, row["clip"], error)
            return dict.fromkeys(self.WRITES)
        except ValueError as error:
            self._spent.refuse()
            log.warning("%s of %s: %s", self.NAME, row["clip"], shortened(str(error), 200))
            return dict.fromkeys(self.WRITES)
        if kept is None:
            self._keep(key, answer)
        return columns

    def _ask(self, words: str, pictures: Sequence[bytes]) -> Answer:
        self._limit.wait()
        answer = self._endpoint.answer(self.prompt, words, *pictures)
        self._spent.add(answer.tokens)
        return answer

    def _key(self, words: str, pictures: Sequence[bytes]) -> str:
        digest = hashlib.sha256()
        for part in (self._endpoint.identity, self.prompt, words):
            digest.update(hashlib.sha256(part.encode()).digest())
        for picture in pictures:
            digest.update(hashlib.sha256(picture).digest())
        return digest.hexdigest()

    def _path(self, key: str) -> Path:
        return user_path(self.cache) / key[:2] / f"{key}.json"

    def _kept(self, key: str) -> Answer | None:
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            found: Any = read_json(path)
            return Answer(found["text"], bool(found["cut"]), tuple(found["tokens"]))
        except (ValueError, KeyError, TypeError):
            return None  # damaged: asked again

    def _keep(self, key: str, answer: Answer) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(answer._asdict()).encode(), shared=True)


class ServerGone(RuntimeError):
    """No answer from a server, after retries."""


class Spent:
    """Answers that a process got so far, and what they cost; prices are those of a million tokens.

    unusable: refusals, and answers of another form than asked for.
    """

    def __init__(self, price_in: float, price_out: float):
        self.answers = self.read = self.written = self.unusable = 0
        self._prices, self._lock = (price_in, price_out), threading.Lock()

    def add(self, tokens: tuple[int, int]) -> None:
        """Counts an answer with the tokens that were read and written for it."""
        with self._lock:
            self.answers += 1
            self.read += tokens[0]
            self.written += tokens[1]

    def refuse(self) -> None:
        """Counts an answer of no use."""
        with self._lock:
            self.unusable += 1

    @property
    def cost(self) -> float:
        """Price of all answers."""
        return (self.read * self._prices[0] + self.written * self._prices[1]) / 1e6

    def __str__(self) -> str:
        return (
            f"{self.answers} answers, {self.unusable} of no use; {self.read:,} tokens read and "
            f"{self.written:,} written, which cost {self.cost:.4f}"
        )


class RateLimit:
    """At most so many calls in a minute, evenly spaced; 0 is no limit."""

    def __init__(self, per_minute: int):
        self._step_s = 60 / per_minute if per_minute else 0.0
        self._next, self._lock = 0.0, threading.Lock()

    def wait(self) -> None:
        """Waits until the next call may be made."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._step_s
        time.sleep(max(0.0, start - now))


class OfFrames(Asking):
    """Questions about the frames of a clip, one a second."""

    def question(self, row: Row) -> tuple[str, list[bytes]]:
        seconds = row["end_s"] - row["start_s"]
        count = min(self.most_frames, max(1, math.floor(seconds)))
        times = [(i + 0.5) * seconds / count for i in range(count)]
        frames = read_frames(row["path"], row["start_s"], row["end_s"], times, self.side_px)
        return f"{count} frames of one clip of {seconds:.1f} s.", [_jpeg(each) for each in frames]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioner(OfFrames):
    """Captions of clips."""

    NAME, PROMPT = "captioner", "caption.txt"
    WRITES: ClassVar = {"caption": "string"}

    def read(self, answer: Answer) -> Row:
        return {"caption": description(answer, self.model)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter(OfFrames):
    """Faults that a model sees: those of FLAGS that are true."""

    NAME, PROMPT = "filter", "filter.txt"
    WRITES: ClassVar = {"filter_flags": "list<string>"}

    def read(self, answer: Answer) -> Row:
        found = _object(answer.text)
        if unknown := [name for name in FLAGS if not isinstance(found.get(name), bool)]:
            raise ValueError(f"the answer does not say true or false of {', '.join(unknown)}.")
        return {"filter_flags": [name for name in FLAGS if found[name]]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tagger(Asking):
    """Subjects, actions and scenes of a caption."""

    NAME, PROMPT = "tagger", "tags.txt"
    READS = (*Asking.READS, "caption")
    WRITES: ClassVar = dict.fromkeys(TAGS, "list<string>")

    def question(self, row: Row) -> tuple[str, list[bytes]]:
        return row["caption"] or row.get("video_caption") or "a clip", []

    def read(self, answer: Answer) -> Row:
        found = _object(answer.text)
        return {name: _tags(name, found.get(name)) for name in TAGS}


def _object(text: str) -> Mapping[str, Any]:
    """The JSON object in an answer, which may stand in a fence or after thoughts.

    Raises:
        ValueError: there is none.
    """
    first, last = text.rfind("{"), text.rfind("}")
    found = parse_json(text[first : last + 1], "the answer") if 0 <= first < last else None
    if not isinstance(found, dict):
        raise ValueError(f"the answer is no JSON object: {shortened(text, 100)!r}.")
    return found


def _tags(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name}={shortened(repr(value))} must be a list of words.")
    tags = [" ".join(each.lower().split())[:LONGEST_TAG] for each in value[:MOST_TAGS]]
    return [each for each in tags if each]


def _jpeg(frame: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=90)
    return content.getvalue()
