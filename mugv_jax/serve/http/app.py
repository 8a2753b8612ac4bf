# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The application of a server: JSON errors, a page and its files, and the guard around it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from mugv_jax.serve.http.errors import add_handlers
from mugv_jax.serve.http.guard import Guard, Policy

INDEX = "index.html"
Lifespan = Callable[[FastAPI], contextlib.AbstractAsyncContextManager[Any]]


def make_app(
    title: str, policy: Policy, *, page: Path, lifespan: Lifespan | None = None
) -> FastAPI:
    """An application to add routes to.

    page: folder of the page, whose index.html is served at "/", and everything in it at "/static/".
    lifespan: context of the server's running, see FastAPI.
    """
    app = Guarded(policy, title=title, lifespan=lifespan or _nothing)
    add_handlers(app)

    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(page / INDEX, headers={"cache-control": "no-cache"})

    app.mount("/static", _Revalidated(directory=page, check_dir=False), name="static")
    return app


class Guarded(FastAPI):
    """An application whose guard is around everything, answers to failures included."""

    def __init__(self, policy: Policy, **options: Any):
        super().__init__(openapi_url=None, redirect_slashes=False, **options)
        self._policy = policy

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack(), self._policy)


class _Revalidated(StaticFiles):
    """Files that a browser asks for again, so that a new version of the package shows."""

    def file_response(self, *args: Any, **options: Any) -> Any:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        return response


@contextlib.asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield
