# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Streams of changes for clients: server-sent events of one video, or of all videos of a key.

A slow client gets fewer events, not a longer queue: of each video it gets the newest state and the
newest preview.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from mugv_jax.serve.http.errors import too_many

STATUS, PREVIEW = "status", "preview"
ENDED = ("completed", "failed")
BEAT_S = 15.0  # between comments that keep a connection alive
MOST, MOST_PER_OWNER = 200, 16


class Stream:
    """Events that one client has not read yet; `only` is the id of its video, or None for all."""

    def __init__(self, owner: str, only: str | None):
        self.owner, self.only = owner, only
        self._pending: dict[tuple[str, str], Any] = {}  # (video, event) -> data
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, id: str, event: str, data: Any) -> None:
        """Add an event, in place of an unread one of its kind."""
        if self.only in (None, id):
            self._pending.pop((id, event), None)
            self._pending[id, event] = data
            self._changed.set()

    def close(self) -> None:
        """End the stream after what is pending."""
        self._closed = True
        self._changed.set()

    async def texts(self) -> AsyncIterator[str]:
        """The events as they are sent; those of a single video end with it."""
        yield "retry: 2000\n\n"
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                yield ": waiting\n\n"
                continue
            self._changed.clear()
            pending, self._pending = self._pending, {}
            for (_, event), data in pending.items():
                yield f"event: {event}\ndata: {json.dumps(data)}\n\n"
                if self.only is not None and event == STATUS and data["status"] in ENDED:
                    return
            if self._closed:
                return


class Hub:
    """All streams of a server."""

    def __init__(self):
        self._streams: set[Stream] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, owner: str, only: str | None = None) -> Stream:
        """A stream of a client's events.

        Raises:
            Refusal: too many are open.
        """
        own = sum(stream.owner == owner for stream in self._streams)
        if len(self._streams) >= MOST or own >= MOST_PER_OWNER:
            raise too_many(
                f"{own} streams of events of this key and {len(self._streams)} of all are open, "
                f"and at most {MOST_PER_OWNER} and {MOST} may be: close some, or ask for the "
                "videos' states.", 10, "too_many_streams",
            )  # fmt: skip
        stream = Stream(owner, only)
        if self._closed:
            stream.close()
        self._streams.add(stream)
        return stream

    def drop(self, stream: Stream) -> None:
        """Forget a stream whose client is gone."""
        self._streams.discard(stream)

    def listened(self) -> set[str]:
        """Owners with streams."""
        return {stream.owner for stream in self._streams}

    def put(self, owner: str, id: str, event: str, data: Any) -> None:
        """Send an event to the streams of an owner."""
        for stream in self._streams:
            if stream.owner == owner:
                stream.put(id, event, data)

    def close(self) -> None:
        """End all streams, because the server stops."""
        self._closed = True
        for stream in self._streams:
            stream.close()
