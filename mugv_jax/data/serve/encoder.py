# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoder of the samples of a list, one at a time, when they are asked for.

It fills an ordinary folder of `mugv-jax data encode`, from which it answers: what is encoded once
is encoded for all trainers, epochs and restarts, and training from the folder gives the same.
"""

import contextlib
import functools
import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from mugv_jax import video
from mugv_jax.data.ahead import ahead
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.captions import Captioned
from mugv_jax.data.clips import read_clip
from mugv_jax.data.encode import EncodeConfig, finite, posterior_key
from mugv_jax.data.encoded import SETTINGS, EncodedFolder, Job
from mugv_jax.data.pt_files import latent_bytes, text_bytes
from mugv_jax.data.samples import EMPTY_TEXT
from mugv_jax.data.serve.protocol import VERSION
from mugv_jax.data.serve.shapes import sample_shape
from mugv_jax.progress import amount, clock, over, rate
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.encoding import SampleEncoder

log = logging.getLogger(__name__)

PLAN_THREADS = 8
FLUSH_EVERY = 64  # samples; a crash loses their rows, but not their files
TOLD_EVERY_S = 30.0


class Encoder:
    """Encodes samples of a folder one at a time, each once however many ask for it.

    Raises:
        ValueError: no sample of the list can be used.
    """

    def __init__(self, folder: EncodedFolder, models: SampleEncoder[Any], config: EncodeConfig):
        self.folder, self._models, self._config = folder, models, config
        self._device, self._guard = threading.Lock(), threading.Lock()
        self._working: dict[str, Future[None]] = {}
        self._jobs: dict[str, Job] = {}  # by each of its two files
        self._fps: dict[str, float] = {}  # by id, of samples that are not finished
        self.rows: list[dict[str, Any]] = []
        self.bad: list[str] = []
        self._loaded = contextlib.ExitStack()
        self.encoded = self.found = 0  # samples; files that were there when they were asked for
        self._busy = Busy()
        self._told = time.monotonic()
        self._plan()
        self._texts = [row["text"] for row in self.rows]
        self._places = {text: place for place, text in enumerate(self._texts)}
        if not self._jobs:
            raise ValueError("no file of the list can be used: " + "; ".join(self.bad[:3]))

    def __enter__(self) -> "Encoder":
        models = self._models
        self._loaded.enter_context(meshes.use(models.mesh))
        self._loaded.enter_context(models.holding("vae", *models.TEXT_MODELS))
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.flush()
        self._loaded.close()

    def _plan(self) -> None:
        """Finds the shape of every sample, and the files that it becomes."""

        def planned(entry: Captioned) -> tuple[Job, tuple[tuple[int, int, int], float]]:
            return self.folder.job(entry), sample_shape(entry, self._config.clip)

        calls = ahead(planned, self.folder.entries, threads=PLAN_THREADS)
        total = len(self.folder.entries)
        for entry, found in over(calls, "looking at files", total=total, unit="file"):
            try:
                job, (shape, fps) = found()
            except BadSample as error:
                self.bad.append(f"{entry.id}: {error}")
                continue
            if self.folder.has(job.latent) and self.folder.has(job.text):
                self.folder.finish(job, fps)  # also if a server that was killed wrote no row
            else:
                self._fps[entry.id] = fps
            self._jobs[job.latent] = self._jobs[job.text] = job
            self.rows.append({
                "name": entry.id, "latent": job.latent, "text": job.text, "fps": fps,
                "shape": shape,
            })  # fmt: skip

    def file(self, name: str) -> bytes:
        """Content of a file of the folder, encoded now if it is not there.

        Raises:
            KeyError: no sample has such a file.
            BadSample: the sample cannot be encoded.
        """
        if name != EMPTY_TEXT and name not in self._jobs:
            raise KeyError(name)
        with self._guard:
            work = self._working.get(name)
            mine = work is None and not self.folder.has(name)
            if mine:
                work = self._working[name] = Future()
            self.found += work is None
        if mine and work is not None:
            try:
                with self._busy:
                    self._encode(name)
                work.set_result(None)
            except BaseException as error:
                work.set_exception(error)
                raise
            finally:
                with self._guard:
                    del self._working[name]
        elif work is not None:
            work.result()
        return (self.folder.path / name).read_bytes()

    def _encode(self, name: str) -> None:
        job = self._jobs.get(name)
        if job is not None and name == job.latent:
            self.folder.write(name, self._latent_bytes(job))
            self._finish([name])
        else:
            self._finish(self._write_texts(name))

    def _finish(self, written: Iterable[str]) -> None:
        """Records the samples of files that were written now, if both of their files are there."""
        for name in written:
            job = self._jobs.get(name)
            if job is None or not (self.folder.has(job.latent) and self.folder.has(job.text)):
                continue
            with self._guard:
                fps = self._fps.pop(job.entry.id, None)
                if fps is None:  # the call that wrote the other file was faster
                    continue
                self.folder.finish(job, fps)
                self.encoded += 1
                if self.encoded % FLUSH_EVERY == 0:
                    self.folder.flush()
        with self._guard:
            now = time.monotonic()
            if now - self._told > TOLD_EVERY_S:
                self._told = now
                log.info("%s", self.summary)

    @property
    def summary(self) -> str:
        """What has been done so far; the rate is that of the time in which samples were encoded."""
        told = f"encoded {amount(self.encoded, 'sample')}"
        if self.encoded:
            seconds = self._busy.seconds
            told += f" in {clock(seconds)} ({rate(self.encoded / seconds, 'sample')})"
        left = f", {len(self._fps):,} are left" if self._fps else ""
        return f"{told}{left}; {amount(self.found, 'file')} asked for that were there already"

    def _write_texts(self, name: str) -> Sequence[str]:
        """Encodes a caption together with its neighbours in the list, which are needed soon too.

        The text encoders then read as many captions at once as in `data encode`, and their sums are
        the same. Returns the files that were written.
        """
        size = self._config.text_batch
        near = [name]
        if name != EMPTY_TEXT:
            first = self._places[name] // size * size
            near = self._texts[first : first + size]
        with self._device:
            todo = [each for each in near if not self.folder.has(each)]
            if not todo:
                return todo
            captions = [
                self._jobs[each].entry.caption if each in self._jobs else "" for each in todo
            ]
            states = self._models.caption_states(captions, batch_size=size)
            for file, (text, mask) in zip(todo, states, strict=True):
                self.folder.write(file, text_bytes(text, mask))
        return todo

    def _latent_bytes(self, job: Job) -> bytes:
        frames, _ = read_clip(job.entry.path, self._config.clip, job.entry.fps, job.entry.part)
        key = posterior_key(self._config.posterior_seed, job.entry)
        with self._device:
            pixels = video.to_pixels(frames)[None]
            latent = self._models.latent(pixels, key, tiling=self._config.tiling)
            return latent_bytes(finite(latent, job.entry))

    @functools.cached_property
    def digest(self) -> str:
        """Identity of the folder, by its settings and the time of its beginning.

        A trainer that has files of another folder must not mix them with those of this one: files
        of one video have one name whatever encoded it.
        """
        file = self.folder.path / SETTINGS
        began = str(file.stat().st_mtime_ns).encode()
        return hashlib.sha256(file.read_bytes() + began).hexdigest()[:16]

    @property
    def header(self) -> dict[str, Any]:
        """What a trainer must know before the first sample."""
        config = self._models.config
        return {
            "version": VERSION,
            "folder": self.digest,
            "channels": config.vae.latent_channels,
            "text_width": config.text.width,
            "bad": self.bad,
        }


class Busy:
    """Seconds in which at least one of several threads was inside of this context."""

    def __init__(self):
        self._lock, self._inside = threading.Lock(), 0
        self._since = self._total = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._since = time.monotonic()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._total += time.monotonic() - self._since

    @property
    def seconds(self) -> float:
        """The sum so far."""
        with self._lock:
            now = time.monotonic() - self._since if self._inside else 0.0
            return self._total + now
