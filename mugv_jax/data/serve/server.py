# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Server that encodes samples when they are asked for.

It fills an ordinary folder of `mugv-jax data encode`, from which it answers: what is encoded once
is encoded for all trainers, epochs and restarts, and training from the folder gives the same.
"""

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax import video
from mugv_jax.data.ahead import ahead
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.captions import Captioned
from mugv_jax.data.clips import read_clip
from mugv_jax.data.encode import EncodeConfig, finite, posterior_key
from mugv_jax.data.encoded import EncodedFolder, Job
from mugv_jax.data.pt_files import latent_bytes, text_bytes
from mugv_jax.data.samples import EMPTY_TEXT
from mugv_jax.data.serve.protocol import BLOCK, FILE, LIST, SERVICE, VERSION, grpc, unchanged
from mugv_jax.data.serve.shapes import sample_shape
from mugv_jax.progress import over
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.text import text_batches

log = logging.getLogger(__name__)

THREADS = 16  # calls that are answered at once; further ones wait, and so do their trainers
PLAN_THREADS = 8
FLUSH_EVERY = 64  # samples; a crash loses their rows, but not their files
ROWS = 4096  # samples in a message of List


class Encoder:
    """Encodes samples of a folder one at a time, each once however many ask for it.

    Raises:
        ValueError: no sample of the list can be used.
    """

    def __init__(self, folder: EncodedFolder, models: MugvModels, config: EncodeConfig):
        self.folder, self._models, self._config = folder, models, config
        self._device, self._guard = threading.Lock(), threading.Lock()
        self._working: dict[str, Future[None]] = {}
        self._jobs: dict[str, Job] = {}
        self.rows: list[dict[str, Any]] = []
        self.bad: list[str] = []
        self._loaded = contextlib.ExitStack()
        self.encoded = 0
        self._plan()
        self._texts = [row["text"] for row in self.rows]
        if not self._jobs:
            raise ValueError("no file of the list can be used: " + "; ".join(self.bad[:3]))

    def __enter__(self) -> "Encoder":
        self._loaded.enter_context(meshes.use(self._models.mesh))
        self._text = self._loaded.enter_context(self._models.model("text"))
        self._vae = self._loaded.enter_context(self._models.model("vae"))
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
            self.folder.recall(job)
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
        if mine and work is not None:
            try:
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
        else:
            self._write_texts(name)
        if job is not None and self.folder.has(job.latent) and self.folder.has(job.text):
            fps = next(row["fps"] for row in self.rows if row["latent"] == job.latent)
            with self._guard:
                self.folder.finish(job, fps)
                self.encoded += 1
                if self.encoded % FLUSH_EVERY == 0:
                    self.folder.flush()
                    log.info("%d samples are encoded.", self.encoded)

    def _write_texts(self, name: str) -> None:
        """Encodes a caption together with its neighbours in the list, which are needed soon too.

        T5 then reads as many captions at once as in `data encode`, and its sums are the same.
        """
        size = self._config.text_batch
        first = self._texts.index(name) // size * size if name != EMPTY_TEXT else 0
        near = self._texts[first : first + size] if name != EMPTY_TEXT else [EMPTY_TEXT]
        module, variables = self._text
        with self._device, meshes.use(self._models.mesh):
            todo = [each for each in near if not self.folder.has(each)]
            if not todo:
                return
            captions = [
                self._jobs[each].entry.caption if each in self._jobs else "" for each in todo
            ]
            ids, masks = self._models.tokenize(captions)
            batches = text_batches(module, variables, ids, masks, batch_size=size)
            states = [np.asarray(text) for batch in batches for text in batch]
            for file, text, mask in zip(todo, states, masks, strict=True):
                text = np.where(mask[:, None], text, np.zeros((), text.dtype))
                self.folder.write(file, text_bytes(text, mask))

    def _latent_bytes(self, job: Job) -> bytes:
        frames, _ = read_clip(job.entry.path, self._config.clip, job.entry.fps, job.entry.part)
        key = posterior_key(self._config.posterior_seed, job.entry)
        vae, variables = self._vae
        with self._device, meshes.use(self._models.mesh):
            pixels = jnp.asarray(video.to_pixels(frames)[None])
            latent = windows.encode(vae, variables, pixels, key, tiling=self._config.tiling)[0]
            return latent_bytes(finite(latent, job.entry))

    @property
    def header(self) -> dict[str, Any]:
        """What a trainer must know before the first sample."""
        config = self._models.config
        return {
            "version": VERSION,
            "channels": config.vae.latent_channels,
            "text_width": config.text.width,
            "bad": self.bad,
            "count": len(self.rows),
        }


class Server:
    """A gRPC server of an encoder's samples; `port` is the one that it listens on.

    listen: HOST:PORT; port 0 takes a free one. There is no authentication.

    Raises:
        ValueError: the address cannot be used.
    """

    def __init__(self, encoder: Encoder, listen: str):
        package = grpc()
        self._grpc, self._encoder = package, encoder
        self._server = package.server(
            ThreadPoolExecutor(THREADS), options=(("grpc.so_reuseport", 0),)
        )
        handlers = {
            LIST: self._handler(self._list),
            FILE: self._handler(self._file),
        }
        generic = package.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        try:
            self.port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise ValueError(f"--listen={listen} cannot be used: {error}.") from error
        if not self.port:
            raise ValueError(f"--listen={listen} cannot be used: is another server there?")

    def __enter__(self) -> "Server":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=5).wait()

    def _handler(self, function: Callable) -> Any:
        return self._grpc.unary_stream_rpc_method_handler(
            function, request_deserializer=unchanged, response_serializer=unchanged
        )

    def _list(self, _: bytes, __: Any) -> Iterator[bytes]:
        yield json.dumps(self._encoder.header).encode()
        lines = [json.dumps(row).encode() for row in self._encoder.rows]
        for start in range(0, len(lines), ROWS):
            yield b"\n".join(lines[start : start + ROWS])

    def _file(self, request: bytes, context: Any) -> Iterator[bytes]:
        name = request.decode()
        try:
            content = self._encoder.file(name)
        except KeyError:
            raise context.abort(
                self._grpc.StatusCode.NOT_FOUND, f"no sample has the file {name!r}"
            ) from None
        except BadSample as error:
            raise context.abort(self._grpc.StatusCode.DATA_LOSS, str(error)) from None
        for start in range(0, len(content), BLOCK):
            yield content[start : start + BLOCK]
