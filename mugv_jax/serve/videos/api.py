# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Routes of the API: OpenAI's for videos, and our own."""

import functools
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from mugv_jax.serve.http.errors import Refusal
from mugv_jax.serve.videos.asked import read_asked
from mugv_jax.serve.videos.checker import Checker
from mugv_jax.serve.videos.events import PREVIEW, STATUS, Hub, Stream
from mugv_jax.serve.videos.inputs import take_inputs
from mugv_jax.serve.videos.limits import Gate
from mugv_jax.serve.videos.metrics import Metrics
from mugv_jax.serve.videos.offer import Offer
from mugv_jax.serve.videos.places import ID, SPRITESHEET, THUMBNAIL, VIDEO, Places, new_id
from mugv_jax.serve.videos.store import ACTIVE, COMPLETED, Entry, Store
from mugv_jax.serve.videos.supervisor import Supervisor
from mugv_jax.serve.videos.values import refused, shown
from mugv_jax.serve.videos.videos import input_names

MOST_LISTED = 100
LISTED = 20
VARIANTS = {
    "video": (VIDEO, "video/mp4"),
    "thumbnail": (THUMBNAIL, "image/webp"),
    "spritesheet": (SPRITESHEET, "image/jpeg"),
}


class Api:
    """Routes over the parts of a server."""

    def __init__(
        self,
        title: str,
        offer: Offer,
        store: Store,
        places: Places,
        gate: Gate,
        hub: Hub,
        checker: Checker,
        supervisor: Supervisor,
        metrics: Metrics,
        *,
        needs_key: bool,
    ):
        self._offer, self._store, self._places, self._gate = offer, store, places, gate
        self._hub, self._checker, self._supervisor = hub, checker, supervisor
        self._metrics, self._began = metrics, int(time.time())
        self._capabilities = offer.describe(title, needs_key=needs_key)

    def router(self) -> APIRouter:
        """All routes."""
        router = APIRouter()
        get = functools.partial(router.add_api_route, methods=["GET"], response_model=None)
        post = functools.partial(router.add_api_route, methods=["POST"], response_model=None)
        get("/healthz", self.health)
        get("/metrics", self.figures)
        get("/v1/models", self.models)
        get("/v1/models/{model}", self.model)
        get("/v1/capabilities", self.capabilities)
        get("/v1/events", self.all_events)
        post("/v1/videos", self.create)
        get("/v1/videos", self.listing)
        get("/v1/videos/{id}", self.retrieve)
        router.add_api_route(
            "/v1/videos/{id}", self.delete, methods=["DELETE"], response_model=None
        )
        post("/v1/videos/{id}/cancel", self.cancel)
        get("/v1/videos/{id}/content", self.content)
        get("/v1/videos/{id}/input/{name}", self.given)
        get("/v1/videos/{id}/events", self.events)
        return router

    async def health(self) -> Response:
        """Whether videos can be made."""
        ready = self._supervisor.ready
        return JSONResponse({"status": "ok" if ready else "no worker"}, 200 if ready else 503)

    async def figures(self) -> Response:
        """Figures for Prometheus."""
        self._metrics.streams.set(len(self._hub))
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def models(self) -> Response:
        """The models, as OpenAI's API lists them."""
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, model: str) -> Response:
        """One model."""
        if model != self._offer.model:
            raise Refusal(404, "there is no such model here.", code="model_not_found")
        return JSONResponse(self._model())

    def _model(self) -> dict[str, Any]:
        return {
            "id": self._offer.model, "object": "model", "created": self._began,
            "owned_by": "mugv_jax",
        }  # fmt: skip

    async def capabilities(self) -> Response:
        """What may be asked for."""
        return JSONResponse(self._capabilities)

    async def create(self, request: Request) -> Response:
        """Accept a request: it is in the queue on disk when this answers."""
        id = new_id()
        try:
            with self._gate.admitted(request.state.owner):
                entry = await self._accepted(request, id)
        except BaseException:
            if self._store.get(id) is None:
                await run_in_threadpool(self._places.remove, id)
            raise
        finally:
            await request.close()  # the temporary files of the form
        self._supervisor.wake()
        self._supervisor.moved()
        return JSONResponse(self._supervisor.show(entry))

    async def _accepted(self, request: Request, id: str) -> Entry:
        """The request of a body, in the queue on disk."""
        generator, folder = self._offer.generator, self._places.inputs(id)
        asked = await read_asked(request)
        settings = self._offer.settings(asked.values)
        await take_inputs(asked, settings, folder, generator, self._checker)
        try:
            generator.check(settings, folder)
        except ValueError as error:
            raise Refusal(400, str(error), code="invalid_value") from error
        self._gate.check(request.state.owner)
        shape = self._offer.shape(settings)
        return await run_in_threadpool(self._store.add, id, request.state.owner, shape, settings)

    async def listing(self, request: Request) -> Response:
        """Videos of the key, newest first."""
        owner, query = request.state.owner, request.query_params
        limit, order = query.get("limit") or str(LISTED), query.get("order") or "desc"
        if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= MOST_LISTED:
            raise refused("limit", f"{shown(limit)} must lie in 1 to {MOST_LISTED}.")
        if order not in ("asc", "desc"):
            raise refused("order", f"{shown(order)} must be asc or desc.")
        after = query.get("after")
        number = None if not after else self._entry(request, after).number
        found = await run_in_threadpool(
            self._store.page,
            owner,
            limit=int(limit) + 1,
            after=number,
            newest_first=order == "desc",
        )
        data = [self._supervisor.show(entry) for entry in found[: int(limit)]]
        return JSONResponse(
            {
                "object": "list",
                "data": data,
                "has_more": len(found) > int(limit),
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
            }
        )

    async def retrieve(self, request: Request, id: str) -> Response:
        """One video."""
        return JSONResponse(self._supervisor.show(self._entry(request, id)))

    async def delete(self, request: Request, id: str) -> Response:
        """Remove a video and its files; one that waits or is made is cancelled."""
        entry = self._entry(request, id)
        if entry.state in ACTIVE:
            await self._supervisor.cancel(entry)
        await run_in_threadpool(self._store.remove, id)
        await run_in_threadpool(self._places.remove, id)
        return JSONResponse({"id": id, "object": "video.deleted", "deleted": True})

    async def cancel(self, request: Request, id: str) -> Response:
        """Cancel a video that waits or is made."""
        entry = self._entry(request, id)
        ended = await self._supervisor.cancel(entry)
        if ended is None:
            raise Refusal(
                409, "the video has ended already: it can be deleted, not cancelled.",
                code="already_ended",
            )  # fmt: skip
        return JSONResponse(self._supervisor.show(ended))

    async def content(self, request: Request, id: str) -> Response:
        """The file of a video, or a picture of it."""
        entry, variant = self._entry(request, id), request.query_params.get("variant") or "video"
        if variant not in VARIANTS:
            raise Refusal(400, f"variant must be one of {', '.join(VARIANTS)}.", param="variant")
        suffix, kind = VARIANTS[variant]
        path = self._places.result(id, suffix)
        if entry.state != COMPLETED:
            raise Refusal(409, "the video is not completed.", code="not_completed")
        if not path.exists():
            raise Refusal(404, "the file is gone from the server's folder.", code="gone")
        # It never changes, but only its owner may keep it.
        headers = {"cache-control": "private, max-age=86400, immutable"}
        name = f"{id}{suffix}"
        return FileResponse(
            path, media_type=kind, headers=headers, filename=name, content_disposition_type="inline"
        )

    async def given(self, request: Request, id: str, name: str) -> Response:
        """A picture or video that the request came with."""
        entry = self._entry(request, id)
        names = input_names(entry.settings["inputs"])
        path = self._places.inputs(id) / names[name] if name in names else None
        if path is None or not path.exists():
            raise Refusal(404, "the request has no such input.")
        if path.suffix == ".png":
            return FileResponse(path, media_type="image/png")
        # As it was sent: no browser shall show it as a page.
        return FileResponse(path, media_type="application/octet-stream", filename=f"{name}.bin")

    async def events(self, request: Request, id: str) -> Response:
        """Changes of one video, as server-sent events, until it ends."""
        entry = self._entry(request, id)
        stream = self._hub.open(request.state.owner, id)
        self._begin(stream, [self._store.get(id) or entry])
        return self._streaming(stream)

    async def all_events(self, request: Request) -> Response:
        """Changes of all videos of the key, as server-sent events."""
        owner = request.state.owner
        stream = self._hub.open(owner)
        self._begin(stream, self._store.active(owner))
        return self._streaming(stream)

    def _begin(self, stream: Stream, entries: list[Entry]) -> None:
        """The present state of videos, which a new stream begins with."""
        for entry in entries:
            stream.put(entry.id, STATUS, self._supervisor.show(entry))
            preview = self._supervisor.preview(entry.id)
            if preview is not None:
                stream.put(entry.id, PREVIEW, preview)

    def _streaming(self, stream: Stream) -> Response:
        async def texts() -> AsyncIterator[str]:
            try:
                async for text in stream.texts():
                    yield text
            finally:
                self._hub.drop(stream)

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(texts(), media_type="text/event-stream", headers=headers)

    def _entry(self, request: Request, id: str) -> Entry:
        """A video of the key; those of others do not exist for it."""
        entry = self._store.get(id) if ID.fullmatch(id) else None
        if entry is None or entry.owner != request.state.owner:
            raise Refusal(404, "there is no such video.", param="id", code="not_found")
        return entry
