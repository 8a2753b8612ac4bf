# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Server of an encoder's files, over gRPC."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.serve.encoder import Encoder
from mugv_jax.data.serve.protocol import (
    ABOUT,
    BLOCK,
    FILE,
    LIST,
    SERVICE,
    check_listen,
    grpc,
    unchanged,
)

THREADS = 16  # calls that are answered at once; further ones wait, and so do their trainers
ROWS = 4096  # samples in a message of List


class Server:
    """A gRPC server of an encoder's samples; `port` is the one that it listens on.

    listen: HOST:PORT; port 0 takes a free one. There is no authentication.

    Raises:
        ValueError: the address cannot be used.
    """

    def __init__(self, encoder: Encoder, listen: str):
        check_listen(listen)  # gRPC would log several lines of its own
        package = grpc()
        self._grpc, self._encoder = package, encoder
        self._server = package.server(
            ThreadPoolExecutor(THREADS), options=(("grpc.so_reuseport", 0),)
        )
        handlers = {
            ABOUT: self._handler(self._about),
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

    def _about(self, _: bytes, __: Any) -> Iterator[bytes]:
        content = json.dumps(self._encoder.header).encode()  # longer than a message if much is bad
        for start in range(0, len(content), BLOCK):
            yield content[start : start + BLOCK]

    def _list(self, _: bytes, __: Any) -> Iterator[bytes]:
        lines = [json.dumps(row).encode() for row in self._encoder.rows]
        for start in range(0, len(lines), ROWS):
            yield b"\n".join(lines[start : start + ROWS])

    def _file(self, request: bytes, context: Any) -> Iterator[bytes]:
        digest, _, name = request.decode(errors="replace").partition(" ")
        if digest != self._encoder.digest:
            raise context.abort(
                self._grpc.StatusCode.FAILED_PRECONDITION,
                "the server has begun to serve another folder of samples; start training again",
            )
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
