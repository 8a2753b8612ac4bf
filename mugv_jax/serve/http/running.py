# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A server that listens until SIGTERM or Ctrl-C, and then lets requests under way finish."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from mugv_jax import interrupts

HEADERS_S = 10.0  # for a client to send the headers of a request
READ_S = 30.0  # for a client to read the next part of an answer
IDLE_S = 30  # until a connection without requests is closed
STOP_S = 10  # for requests under way when the server is stopped
MOST_HEADER_BYTES = 32_768
MOST_CONNECTIONS = 400


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that ends connections whose headers do not come, or whose answers are not read."""

    _late: asyncio.TimerHandle | None = None  # of headers
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._late, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        self.transport.abort()  # closing would wait until the last answer is read

    def _wait(self) -> None:
        """Give the client HEADERS_S for its headers, unless a request is under way."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self._late is not None:
                self._late.cancel()
                self._late = None
        elif self._late is None and not self.transport.is_closing():
            self._late = self.loop.call_later(HEADERS_S, self.transport.abort)


class _Server(uvicorn.Server):
    """A server that leaves the signals to `run_server`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_server(
    app: ASGIApp, listener: socket.socket, *, stopping: Callable[[], object] = lambda: None
) -> None:
    """Answer requests until a signal comes; a second signal ends the process.

    listener: socket of `listen.Address.bound`.
    stopping: is called when the signal comes; answers without an end, such as streams of events,
        must end then, or are cut off after STOP_S.
    """
    server = make_server(app)

    def stop() -> None:
        server.should_exit = True
        stopping()

    with _signals(stop):
        server.run(sockets=[listener])


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Server of an application that no signal ends: it runs until its `should_exit` is set."""
    # It says little that is no error, and its lines of access would hold what clients send.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=STOP_S,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
    )
    return _Server(config)


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Context in which the first SIGTERM or Ctrl-C calls `stop`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with interrupts.postponed() as obey:

        def handle(number: int, _: Any) -> None:
            obey(number)
            stop()

        before = {each: signal.signal(each, handle) for each in interrupts.SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python
