# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A server of videos, put together."""

import asyncio
import contextlib
import dataclasses
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

from fastapi import FastAPI
from starlette.types import Scope

from mugv_jax.serve.http.app import make_app
from mugv_jax.serve.http.guard import Policy
from mugv_jax.serve.http.keys import Keys
from mugv_jax.serve.http.running import run_server
from mugv_jax.serve.videos.api import Api
from mugv_jax.serve.videos.checker import Checker
from mugv_jax.serve.videos.events import Hub
from mugv_jax.serve.videos.limits import Gate
from mugv_jax.serve.videos.metrics import Metrics
from mugv_jax.serve.videos.offer import Offer
from mugv_jax.serve.videos.places import Places
from mugv_jax.serve.videos.retention import Retention
from mugv_jax.serve.videos.store import Store
from mugv_jax.serve.videos.supervisor import Supervisor
from mugv_jax.serve.videos.workers import Worker

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
CREATE = "/v1/videos"
FORM_BYTES = 2**20  # of the fields beside files
METHODS = ("GET", "HEAD", "POST", "DELETE")
SMALL_BYTES = 2**16  # of requests that say nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Settings of a server.

    batch: most videos that are made together.
    keys: of clients, or None if there are none.
    hosts: names of the server.
    """

    title: str
    batch: int = 1
    keys: Keys | None = None
    hosts: Collection[str] = ()
    retention: Retention = dataclasses.field(default_factory=Retention)


class VideoServer:
    """A server over a folder; `first` is its worker, and `start` starts another one."""

    def __init__(
        self,
        folder: Path,
        offer: Offer,
        config: ServerConfig,
        start: Callable[[], Worker],
        first: Worker,
    ):
        self._store, self._places, self._hub = Store(folder), Places(folder), Hub()
        self._metrics, self._checker, self._config = Metrics(), Checker(), config
        again = self._store.requeue(counted=True)  # a server before this one was killed
        if again:
            log.info("%d requests that were in progress are queued again", len(again))
        self._places.sweep(self._store.ids())
        self._supervisor = Supervisor(
            self._store, self._places, offer, self._hub, self._metrics, start,
            first=first, batch=config.batch, keep_s=config.retention.seconds,
        )  # fmt: skip
        api = Api(
            config.title, offer, self._store, self._places, Gate(offer.limits, self._store),
            self._hub, self._checker, self._supervisor, self._metrics,
            needs_key=config.keys is not None,
        )  # fmt: skip
        most = offer.limits.upload_bytes + FORM_BYTES
        policy = Policy(
            hosts=config.hosts,
            who=None if config.keys is None else config.keys.who,
            most_bytes=lambda path: most if path == CREATE else SMALL_BYTES,
            observe=self._observe,
        )
        self.app = make_app(config.title, policy, page=PAGE, lifespan=self._running)
        self.app.include_router(api.router())

    def run(self, listener: socket.socket) -> None:
        """Answer requests until a signal comes."""
        threading.Thread(target=self._checker.start, name="checker", daemon=True).start()
        run_server(self.app, listener, stopping=self._hub.close)

    @contextlib.asynccontextmanager
    async def _running(self, _: FastAPI) -> AsyncIterator[None]:
        """Context in which the server has its worker."""
        removing = self._config.retention.keep_removing(self._store, self._places)
        tasks = [asyncio.create_task(each) for each in (self._supervisor.run(), removing)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._checker.close()
            self._store.close()

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer and log it, without what the client wrote."""
        route = getattr(scope.get("route"), "path", "") or "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.answers.labels(route).observe(seconds)
        client = scope["client"][0] if scope.get("client") else "-"
        # What clients ask again and again would hide the rest.
        asked = method == "GET" and status < 400
        log.log(
            logging.DEBUG if asked else logging.INFO,
            "%s %s %s %s %d %.0f ms",
            client, scope["state"]["owner"] or "-", method, route, status, 1000 * seconds,
        )  # fmt: skip
