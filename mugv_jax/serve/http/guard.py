# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of every request before it reaches the application, and headers of every answer.

    host      a name of this server, against pages that point their own name at it (DNS rebinding)
    origin    this server's own pages, where the method changes something (cross-site requests)
    key       who asks, outside of public paths
    body      at most so many bytes, and not slower than SLOWEST_BYTES_PER_S

The protocol (`running.py`) bounds the time in which a client sends its headers and reads answers.
"""

import asyncio
import contextlib
import dataclasses
import time
import urllib.parse
from collections.abc import Callable, Collection
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mugv_jax.serve.http.errors import Refusal, too_large
from mugv_jax.serve.http.keys import bearer
from mugv_jax.serve.http.listen import is_known

SAFE = ("GET", "HEAD", "OPTIONS")
BODY_S = 20.0  # for a body, and in addition to its bytes at the slowest rate
SLOWEST_BYTES_PER_S = 16_384
LINGER_S = 2.0  # for a client that is refused to stop sending, or it might not read why
HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' blob: data:",
            "media-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """What a server lets in.

    hosts: names of this server in lower case, beside numbers and localhost.
    who: token of a request, or None -> name of its owner, or None to refuse it; without it there
        are no keys. The application finds the name as `request.state.owner`, "" without keys.
    public: paths that need no key; one that ends in "/" stands for all that begin so.
    most_bytes: path -> largest body of a request.
    observe: is told of every answer when it begins: the request's scope, with the key "owner" in
        its state, the status, and the seconds since the request came.
    """

    hosts: Collection[str] = ()
    who: Callable[[str | None], str | None] | None = None
    public: Collection[str] = ("/", "/static/", "/healthz")
    most_bytes: Callable[[str], int] = lambda _: 2**20
    observe: Callable[[Scope, int, float], object] = lambda *_: None

    def is_public(self, path: str) -> bool:
        """Whether a path needs no key."""
        return path in self.public or any(
            path.startswith(each) for each in self.public if each != "/" and each.endswith("/")
        )


class Guard:
    """An application behind the checks of a policy."""

    def __init__(self, app: ASGIApp, policy: Policy):
        self._app, self._policy = app, policy
        self._hosts = frozenset(each.lower() for each in policy.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a web socket
        scope.setdefault("state", {})["owner"] = ""
        send = self._answering(scope, send)
        most = self._policy.most_bytes(scope["path"])
        body = _Body(receive, most)
        try:
            scope["state"]["owner"] = self._checked(scope, most)
        except Refusal as refusal:
            await body.drain()
            refusal.headers.setdefault("Connection", "close")
            await refusal.response()(scope, receive, send)
            return
        await self._app(scope, body.receive, send)

    def _answering(self, scope: Scope, send: Send) -> Send:
        """`send` with the headers of HEADERS."""
        began = time.monotonic()

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
                self._policy.observe(scope, message["status"], time.monotonic() - began)
            await send(message)

        return answer

    def _checked(self, scope: Scope, most: int) -> str:
        """Name of the owner of the request's key.

        Raises:
            Refusal: the request is not let in.
        """
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not is_known(hosts[0], self._hosts):
            raise Refusal(
                400,
                f"Host {', '.join(hosts)!r} is no name of this server: use its address, or start "
                "it with --allow-host NAME.",
                code="unknown_host",
            )
        if scope["method"] not in SAFE:
            _check_origin(headers, hosts[0])
        if "content-length" in headers and "transfer-encoding" in headers:
            raise Refusal(400, "the length of the body is stated twice.", code="two_lengths")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            raise too_large(most)
        if self._policy.who is None:
            return ""
        owner = self._policy.who(bearer(headers.get("authorization")))
        if owner is None and not self._policy.is_public(scope["path"]):
            raise Refusal(
                401,
                "this server needs a key, and none that it knows was sent: send the header "
                "'Authorization: Bearer KEY'.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return owner or ""


def _check_origin(headers: Headers, host: str) -> None:
    """Raise a Refusal for a request that another site's page makes; programs send no origin."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    own = origin is None or urllib.parse.urlsplit(origin).netloc.lower() == host.lower()
    if not own or site not in ("same-origin", "none"):
        raise Refusal(
            403,
            "the request comes from a page of another site, which may change nothing here.",
            code="cross_site",
        )


class _Body:
    """The body of one request, bounded in size and time."""

    def __init__(self, receive: Receive, most: int):
        self._receive, self._most = receive, most
        self._bytes, self._complete = 0, False
        self._began: float | None = None

    async def receive(self) -> Message:
        """The next part; after the last one, it waits for the client to go."""
        if self._complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        until = self._began + BODY_S + self._bytes / SLOWEST_BYTES_PER_S
        try:
            async with asyncio.timeout_at(until):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(
                408,
                f"the body came too slowly: send it at {SLOWEST_BYTES_PER_S} bytes a second or "
                "more.",
                code="too_slow",
                headers={"Connection": "close"},
            ) from None
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._most:
            raise too_large(self._most)
        return message

    async def drain(self) -> None:
        """Read the rest and drop it, for a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._complete:
                    message = await self._receive()
                    self._complete = not message.get("more_body", False)
