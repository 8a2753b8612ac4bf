# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server of a labelling set and its page.

    POST   /api/session       {"token"} -> the annotator's name, and a cookie that stands for it
    DELETE /api/session       removes the cookie
    GET    /api/set           kind, stages of questions, answers, annotator
    POST   /api/tasks         tasks to do now and next, which are reserved
    PUT    /api/answers/ID    {"item", "question", "answer", "seconds"}; ID is made by the client
    DELETE /api/answers/ID    takes the last answer back
    GET    /media/NAME        a video or picture, also parts of it (Range)

An answer is acknowledged when it is on disk, and the same request again changes nothing. Instead of
the cookie, programs may send the header `Authorization: Bearer TOKEN`.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response

from mugv_jax.serve.http.app import make_app
from mugv_jax.serve.http.body import json_object
from mugv_jax.serve.http.errors import Refusal
from mugv_jax.serve.http.guard import Policy
from mugv_jax.serve.http.keys import bearer
from mugv_jax.serve.label.labelset import MEDIA, LabelSet
from mugv_jax.serve.label.store import Store
from mugv_jax.serve.label.tasks import Conflict, Given, Task, Tasks, Unknown

PAGE = Path(__file__).with_name("page")
PUBLIC = ("/", "/static/", "/api/", "/media/")  # the routes below ask for the annotator
COOKIE_S = 30 * 86_400
MOST_BYTES = 2**14  # of a request
MEDIA_HEADERS = {"cache-control": "private, max-age=86400, immutable"}
Result = TypeVar("Result")


def label_app(
    folder: Path, labelset: LabelSet, store: Store, tasks: Tasks, *, hosts: Sequence[str] = ()
) -> FastAPI:
    """The application that serves one labelling set.

    hosts: names by which browsers may ask the server, beside its address and localhost.
    """
    policy = Policy(hosts=hosts, public=PUBLIC, most_bytes=lambda _: MOST_BYTES)
    app = make_app("Labelling", policy, page=PAGE)
    cookie = _cookie_of(labelset)

    async def annotator(request: Request) -> str:
        token = bearer(request.headers.get("authorization")) or request.cookies.get(cookie)
        found = None if token is None else await run_in_threadpool(store.annotator_of, token)
        if found is None:
            raise Refusal(401, "your link or token is needed.", code="invalid_token")
        return found

    _add_session(app, store, cookie)
    _add_tasks(app, labelset, tasks, annotator)
    _add_media(app, folder / MEDIA, labelset, annotator)
    return app


def _cookie_of(labelset: LabelSet) -> str:
    """Name of the cookie: servers on other ports of one machine have the same cookies."""
    ids = "".join(item.id for item in labelset.items)
    return f"label_{hashlib.sha256(ids.encode()).hexdigest()[:12]}"


def _add_session(app: FastAPI, store: Store, cookie: str) -> None:
    @app.post("/api/session")
    async def begin(request: Request) -> JSONResponse:
        token = _text(await json_object(request), "token")
        name = await run_in_threadpool(store.annotator_of, token)
        if name is None:
            raise Refusal(
                401, "this token is not known: use the whole link that you were sent.",
                param="token", code="invalid_token",
            )  # fmt: skip
        response = JSONResponse({"annotator": name})
        secure = request.headers.get("origin", "").startswith("https:")
        response.set_cookie(
            cookie, token, max_age=COOKIE_S, httponly=True, samesite="strict", secure=secure
        )
        return response

    @app.delete("/api/session")
    async def end() -> JSONResponse:
        response = JSONResponse({})
        response.delete_cookie(cookie, httponly=True, samesite="strict")
        return response


def _add_tasks(
    app: FastAPI, labelset: LabelSet, tasks: Tasks, annotator: Callable[..., Any]
) -> None:
    who = Depends(annotator)

    @app.get("/api/set")
    async def about(name: Annotated[str, who]) -> dict[str, Any]:
        stages = [[{"id": q.id, "text": q.text} for q in stage] for stage in labelset.stages]
        answers = list(labelset.rules.answers)
        return {"kind": labelset.kind, "stages": stages, "answers": answers, "annotator": name}

    @app.post("/api/tasks")
    async def give(name: Annotated[str, who]) -> dict[str, Any]:
        return _given(await _done(tasks.give, name))

    @app.put("/api/answers/{answer_id}")
    async def answer(answer_id: str, request: Request, name: Annotated[str, who]) -> dict[str, Any]:
        values = await json_object(request)
        item, question, given = (_text(values, key) for key in ("item", "question", "answer"))
        seconds = values.get("seconds")
        if seconds is not None and (
            isinstance(seconds, bool) or not isinstance(seconds, int | float)
        ):
            raise Refusal(400, "seconds must be a number, or missing.", param="seconds")
        made = await _done(tasks.answer, name, answer_id, item, question, given, seconds)
        return {"id": made.id, "undone": made.undone is not None}

    @app.delete("/api/answers/{answer_id}")
    async def undo(answer_id: str, name: Annotated[str, who]) -> dict[str, Any]:
        return {"task": _shown(await _done(tasks.undo, name, answer_id))}


def _add_media(
    app: FastAPI, folder: Path, labelset: LabelSet, annotator: Callable[..., Any]
) -> None:
    names = {clip.media for item in labelset.items for clip in item.clips}
    names |= {item.picture for item in labelset.items if item.picture is not None}

    @app.get("/media/{name}", dependencies=[Depends(annotator)])
    async def media(name: str) -> Response:
        if name not in names:  # so that no path of a client is ever opened
            raise Refusal(404, "there is no such file.")
        return FileResponse(folder / name, headers=MEDIA_HEADERS)


async def _done(function: Callable[..., Result], *arguments: Any) -> Result:
    """Result of a function that may wait for the disk.

    Raises:
        Refusal: what the function refuses, or a disk that cannot be written.
    """
    try:
        return await run_in_threadpool(function, *arguments)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    except Unknown as error:
        raise Refusal(404, str(error)) from error
    except Conflict as error:
        raise Refusal(409, str(error), code="conflict") from error
    except sqlite3.OperationalError as error:
        raise Refusal(
            503, f"the answer cannot be stored ({error}): tell the person who runs the server.",
            code="not_stored", headers={"Retry-After": "5"},
        ) from error  # fmt: skip


def _given(given: Given) -> dict[str, Any]:
    last = None
    if given.last is not None:
        answer, task = given.last
        last = {"id": answer.id, "question": answer.question, "task": _shown(task)}
    return {
        "tasks": [_shown(task) for task in given.tasks],
        "done": given.done,
        "left": given.left,
        "state": given.state,
        "last": last,
    }


def _shown(task: Task) -> dict[str, Any]:
    """A task as the page gets it: nothing in it tells what made the videos."""
    clips = task.item.clips[::-1] if task.swapped else task.item.clips
    return {
        "item": task.item.id,
        "stage": task.stage,
        "prompt": task.item.prompt,
        "picture": task.item.picture,
        "clips": [
            {"media": each.media, "fps": each.fps, "width": each.width, "height": each.height}
            for each in clips
        ],
        "answered": task.answered,
    }


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise Refusal(400, f"{name} must be a text.", param=name)
    return value
