# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of an encoding server, as training reads those of a folder.

The schedule of training is known ahead, and batches are read ahead of the steps: files that they
need are asked for meanwhile. They are kept in a folder, so that a trainer that resumes asks for
nothing twice; the oldest go when there are too many.
"""

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax import interrupts
from mugv_jax.axes import Int
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.fields import Fields, LatentField, NumberField, TextField
from mugv_jax.data.samples import EMPTY_TEXT, Sample, checked_sample
from mugv_jax.data.serve.protocol import (
    ABOUT,
    FILE,
    LIST,
    SERVICE,
    VERSION,
    address,
    grpc,
    unchanged,
)
from mugv_jax.data.whole_files import write_whole
from mugv_jax.files import user_path

log = logging.getLogger(__name__)

BUFFER = "~/.cache/mugv_jax/served"
BUFFER_BYTES = 20 * 2**30
KEPT = 1024  # newest files that are never removed
WAITS_S = (1.0, 2.0, 5.0, 10.0)  # between tries; the last one for ever
POLL_S = 0.2  # for a signal
TOLD_EVERY_S = 30.0
ANSWER_S = 600.0  # for a file that must be encoded first


class ServerAway(ConnectionError):
    """A server is away, and the run is asked to stop: there is nothing to wait for."""


class Connection:
    """Calls of one server, which wait for it while it is away.

    where: server://HOST:PORT.
    """

    def __init__(self, where: str):
        self.where = where
        self._address = address(where)
        self._channel: Any = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"where": self.where}  # a channel belongs to one process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["where"])

    def messages(self, call: str, request: bytes) -> list[bytes]:
        """All messages of an answer.

        Raises:
            BadSample: the server cannot encode the sample.
            ValueError: the server knows no such sample, or serves another folder than before.
            ServerAway: the command is asked to stop while it waits.
        """
        package, start, told, tries = grpc(), time.monotonic(), 0.0, 0
        codes = package.StatusCode
        while True:
            try:
                return list(self._call(call)(request, timeout=ANSWER_S))
            except package.RpcError as error:
                code, details = error.code(), error.details()
            if code == codes.DATA_LOSS:
                raise BadSample(f"{self.where}: {details}")
            if code not in (codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED, codes.CANCELLED,
                            codes.UNKNOWN):  # fmt: skip
                raise ValueError(f"{self.where}: {details} ({code.name}).")
            waited = time.monotonic() - start
            if not tries or waited - told > TOLD_EVERY_S:
                told = waited
                log.warning("waiting for %s, for %.0f s so far (%s).", self.where, waited, details)
            again = time.monotonic() + WAITS_S[min(tries, len(WAITS_S) - 1)]
            while (rest := again - time.monotonic()) > 0:
                if interrupts.stopping():
                    raise ServerAway(f"{self.where} is away ({details}).")
                time.sleep(min(rest, POLL_S))
            tries += 1

    def about(self) -> dict[str, Any]:
        """What the server tells of all samples.

        Raises:
            ValueError: it speaks another version of the protocol.
        """
        told = json.loads(b"".join(self.messages(ABOUT, b"")))
        if told.get("version") != VERSION:
            raise ValueError(f"{self.where} speaks version {told.get('version')}, not {VERSION}.")
        return told

    def _call(self, name: str) -> Any:
        package = grpc()
        with self._lock:
            if self._channel is None:
                options = (("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 2000))
                self._channel = package.insecure_channel(self._address, options=options)
        return self._channel.unary_stream(
            f"/{SERVICE}/{name}", request_serializer=unchanged, response_deserializer=unchanged
        )


class ServedSamples:
    """A `SampleSource` of an encoding server.

    where: server://HOST:PORT.
    buffer: folder of the files that were received.

    Raises:
        ValueError: fields that a server does not have, or of other widths than the model reads.
    """

    def __init__(
        self,
        where: str,
        fields: Fields,
        *,
        buffer: str | os.PathLike = BUFFER,
        buffer_bytes: int = BUFFER_BYTES,
    ):
        self._connection = Connection(where)
        told = self._connection.about()
        messages = self._connection.messages(LIST, b"")
        rows = [json.loads(line) for message in messages for line in message.splitlines()]
        self.fields: Fields = tuple(_known(where, field, told) for field in fields)
        self.bad: Sequence[str] = tuple(told["bad"])
        self.names: Sequence[str] = tuple(row["name"] for row in rows)
        self.shapes: Int[np.ndarray, "n 3"] = np.array(
            [row["shape"] for row in rows], np.int32
        ).reshape(-1, 3)
        self._rows = rows
        self.buffer = Buffer(self._connection, told["folder"], user_path(buffer), buffer_bytes)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        row = self._rows[index]
        cells = {"latent": row["latent"], "text": row["text"], "fps": row["fps"]}
        values, files = {}, {}
        for field in self.fields:
            cell = cells[field.name]
            if isinstance(cell, str):
                self.buffer.fetch(cell)
            values[field.name] = field.read(self.buffer.folder, cell, normalised=True)
            files[field.name] = f"{self._connection.where} {cell}"
        return checked_sample(
            row["name"], self.fields, values, shape=self.shapes[index], files=files
        )


class Buffer:
    """Files of a server on this machine's disk, the oldest removed beyond `most_bytes`.

    digest: of the server's folder; files of another folder are not taken for those of this one.
    kept: newest files that stay in any case; more than the trainer's threads read at once.
    """

    def __init__(
        self,
        connection: Connection,
        digest: str,
        folder: Path,
        most_bytes: int,
        kept: int = KEPT,
    ):
        self._connection, self._most_bytes, self._kept = connection, most_bytes, kept
        self._digest = digest
        self.folder = folder / hashlib.sha256(digest.encode()).hexdigest()[:12]

    def fetch(self, name: str) -> Path:
        """Path of a file, received if it is not there yet.

        Raises:
            BadSample: the server cannot encode the sample.
        """
        path = self.folder / name
        if not path.exists():
            content = b"".join(self._connection.messages(FILE, f"{self._digest} {name}".encode()))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content, shared=True)
            self._shrink()
        return path

    def _shrink(self) -> None:
        """Removes the oldest files while there are more bytes than allowed.

        The newest stay, as they are about to be read. Another process may remove a file first.
        """
        files = []
        for path in self.folder.glob("*/*.pt"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                files.append((stat.st_mtime, stat.st_size, path))
        excess = sum(size for _, size, _ in files) - self._most_bytes
        for _, size, path in sorted(files)[: -self._kept]:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def fetch_empty_text(where: str, buffer: str | os.PathLike = BUFFER) -> Path:
    """File of the empty caption's states, received from a server."""
    connection = Connection(where)
    digest = connection.about()["folder"]
    return Buffer(connection, digest, user_path(buffer), BUFFER_BYTES).fetch(EMPTY_TEXT)


def _known(where: str, field: Any, told: dict[str, Any]) -> Any:
    """A field with its width, if the server has it.

    Raises:
        ValueError: it has not, or with another width.
    """
    kinds = {"latent": LatentField, "text": TextField, "fps": NumberField}
    if not isinstance(field, kinds.get(field.name, ())):
        raise ValueError(f"{where} has latent, text and fps of its samples, but no {field}.")
    width = {"latent": told["channels"], "text": told["text_width"]}.get(field.name)
    if field.width not in (None, width):
        raise ValueError(
            f"{where}: its {field.name} is {width} wide, but the model reads {field.width}: serve "
            "with the VAE and text encoder of the model."
        )
    return field.with_width(width)
