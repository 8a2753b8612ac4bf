# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A video server without models, which takes a step whenever a test says so."""

import base64
import functools
import io
import itertools
import json
import queue
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mugv_jax import video
from mugv_jax.serve.http.app import make_app
from mugv_jax.serve.http.errors import Refusal
from mugv_jax.serve.http.guard import Policy
from mugv_jax.video import write_video

PAGE = Path(video.__file__).parents[1] / "serve" / "videos" / "page"
STEPS = 8
SIZE = "96x64"
MODEL = {
    "id": "mugv-demo", "name": "MUG-V demo", "sizes": [SIZE, "64x96", "64x64"],
    "default_size": SIZE, "custom_size": True, "size_multiple": 8, "seconds": ["2", "4"],
    "default_seconds": "2", "frames_per_second": 8,
    "frames": {"default": 17, "least": 9, "most": 257, "multiple_of": 8, "plus": 1},
    "steps": {"default": STEPS, "most": 100}, "guidance": {"default": 3.0, "most": 20.0},
    "negative_prompt": True, "default_negative_prompt": "blurry", "image": True,
    "last_image": True, "key_frames": True, "video": True, "loras": ["clay", "ink"],
}  # fmt: skip
EXAMPLE = {"prompt": "a cyan ball that gets larger", "image": None, "size": "64x64", "steps": 4}
CAPABILITIES = {
    "title": "Test videos", "enhance": True, "examples": [EXAMPLE],
    "limits": {"queue": 10, "upload_bytes": 2**20, "prompt_characters": 2000}, "needs_key": False,
}  # fmt: skip
SETTINGS = ("steps", "guidance", "negative_prompt", "lora", "enhance", "frames")
INPUTS = {"input_reference": "image", "last_image": "last_image", "video": "video"}


@functools.cache
def picture(width: int, height: int, form: str = "PNG") -> bytes:
    """A file of a picture whose left half is red and right half is blue."""
    pixels = np.full((height, width, 3), (30, 60, 200), np.uint8)
    pixels[:, : width // 2] = (200, 40, 30)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


class FakeServer:
    """Videos of a server. `requests` are the forms that came, `refusal` what the next one gets.

    models: of its capabilities.
    streams: whether there are streams of events.
    """

    def __init__(self, who=None):
        self.videos: dict[str, dict[str, Any]] = {}
        self.files: dict[tuple[str, str], bytes] = {}
        self.requests: list[dict[str, Any]] = []
        self.refusal: Refusal | None = None
        self.models, self.streams = [MODEL], True
        self._numbers, self._times = itertools.count(1), itertools.count(1_700_000_000)
        self._listeners: list[queue.SimpleQueue] = []
        self._content = _content()
        self.app = make_app("test", Policy(who=who, most_bytes=lambda _: 2**22), page=PAGE)
        self._add_routes()

    def add(self, prompt: str, **values: Any) -> dict[str, Any]:
        """A video in the queue, or as `values` say."""
        name = f"video_{next(self._numbers)}"
        made = {
            "id": name, "object": "video", "model": MODEL["id"], "status": "queued", "progress": 0,
            "created_at": next(self._times), "completed_at": None, "expires_at": None,
            "prompt": prompt, "seconds": "2", "size": SIZE, "remixed_from_video_id": None,
            "error": None, "position": 1, "seed": 7, "settings": {"steps": STEPS, "frames": 17},
            "inputs": {}, "started_at": None,
        } | values  # fmt: skip
        self.update(made)
        return made

    def update(self, made: dict[str, Any], **values: Any) -> None:
        """Change a video, and tell those that listen."""
        made |= values
        self.videos[made["id"]] = made
        queued = [each for each in self.videos.values() if each["status"] == "queued"]
        for place, each in enumerate(queued, 1):
            each["position"] = place
        self._tell("status", made)

    def step(self, number: int) -> None:
        """Take a step of the first video that is not finished."""
        made = next(v for v in self.videos.values() if v["status"] in ("queued", "in_progress"))
        progress = round(100 * number / STEPS)
        self.update(made, status="in_progress", position=None, progress=progress, started_at=1)
        image = "data:image/png;base64," + _base64(picture(24, 16))
        self._tell("preview", {"id": made["id"], "step": number, "steps": STEPS, "image": image})
        if number == STEPS:
            self.update(made, status="completed", completed_at=made["created_at"] + 9)

    def cut(self) -> None:
        """End all streams of events."""
        for listener in self._listeners:
            listener.put(None)
        self._listeners.clear()

    def _tell(self, name: str, data: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener.put(f"event: {name}\ndata: {json.dumps(data)}\n\n")

    def _found(self, name: str) -> dict[str, Any]:
        if name not in self.videos:
            raise Refusal(404, f"there is no video {name!r}.")
        return self.videos[name]

    def _add_routes(self) -> None:
        app = self.app
        app.get("/v1/capabilities")(lambda: {**CAPABILITIES, "models": self.models})
        app.get("/v1/videos")(self._list)
        app.post("/v1/videos")(self._create)
        app.get("/v1/events")(self._events)
        app.get("/v1/videos/{name}")(self._found)
        app.delete("/v1/videos/{name}")(self._delete)
        app.post("/v1/videos/{name}/cancel")(self._cancel)
        app.get("/v1/videos/{name}/content")(self._read)
        app.get("/v1/videos/{name}/input/{file}")(self._input)

    def _list(self, limit: int = 20, after: str | None = None) -> dict:
        videos = list(self.videos.values())[::-1]
        names = [each["id"] for each in videos]
        start = names.index(after) + 1 if after in names else 0
        data = videos[start : start + limit]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
        return {"object": "list", "data": data, "has_more": start + limit < len(videos)} | ends

    async def _create(self, request: Request) -> dict:
        async with request.form() as form:
            values = {key: form.getlist(key) for key in form}
            files = {
                key: [await each.read() for each in found if not isinstance(each, str)]
                for key, found in values.items()
                if not isinstance(found[0], str)
            }
        texts = {key: found[0] for key, found in values.items() if key not in files}
        self.requests.append(texts | {key: len(found) for key, found in files.items()})
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal
        settings = {name: _number(texts[name]) for name in SETTINGS if name in texts}
        made = self.add(
            texts["prompt"],
            size=texts["size"],
            seconds=texts.get("seconds", "2"),
            seed=int(texts.get("seed", 7)),
            settings={"steps": STEPS, "frames": 17, **settings},
            inputs={name: field in files for field, name in INPUTS.items()} | {"key_frames": []},
        )
        for name in files.keys() & INPUTS.keys():
            self.files[made["id"], INPUTS[name]] = files[name][0]
        return made

    def _events(self) -> StreamingResponse:
        if not self.streams:
            raise Refusal(429, "too many streams.")
        listener: queue.SimpleQueue = queue.SimpleQueue()
        self._listeners.append(listener)

        def stream():
            yield ": open\n\n"
            yield from iter(listener.get, None)

        return StreamingResponse(stream(), media_type="text/event-stream")

    def _delete(self, name: str) -> dict:
        del self.videos[self._found(name)["id"]]
        self._tell("", {})
        return {"id": name, "object": "video.deleted", "deleted": True}

    def _cancel(self, name: str) -> dict:
        error = {"code": "cancelled", "message": "cancelled."}
        self.update(self._found(name), status="failed", position=None, error=error)
        return self.videos[name]

    def _read(self, name: str, variant: str = "video") -> Response:
        self._found(name)
        if variant == "thumbnail":
            return Response(picture(96, 64, "WEBP"), media_type="image/webp")
        return Response(self._content, media_type="video/mp4")

    def _input(self, name: str, file: str) -> Response:
        if (name, file) not in self.files:
            raise Refusal(404, f"there is no file {file!r}.")
        return Response(self.files[name, file], media_type="image/png")


@functools.cache
def _content() -> bytes:
    """A video whose red grows from 20 to 220."""
    frames = np.zeros((17, 64, 96, 3), np.uint8)
    frames[..., 0] = np.linspace(20, 220, 17, dtype=np.uint8)[:, None, None]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(path, frames, 8)
        return path.read_bytes()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
