# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Fields of a request to make a video: a form with files, or JSON with files as data URLs.

prompt, model, seconds, size, input_reference          as in OpenAI's API
seed, frames, steps, guidance, negative_prompt, lora, lora_scale, enhance,
last_image, key_frames[], key_frame_times[], video     our own
"""

import base64
import binascii
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mugv_jax.files import shortened
from mugv_jax.serve.http.body import json_object
from mugv_jax.serve.http.errors import Refusal
from mugv_jax.serve.videos.offer import MOST_KEY_FRAMES

TEXTS = (
    "prompt", "model", "seconds", "size", "seed", "frames", "steps", "guidance",
    "negative_prompt", "lora", "lora_scale", "enhance",
)  # fmt: skip
FILES = ("input_reference", "last_image", "video")  # one of each
KEY_FRAMES, TIMES = "key_frames", "key_frame_times"
MOST_FIELD_BYTES = 64 * 2**10
MOST_JSON_BYTES = 8 * 2**20  # it is held in memory, unlike forms
BLOCK = 2**20
DATA_URL = "data:"
URL_NAMES = ("image_url", "url")  # of an object that stands for a file


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a request: an upload, or its bytes."""

    content: UploadFile | bytes

    async def save(self, path: Path) -> None:
        """Write it to a new file; its name is ours, whatever the client calls it."""
        content = self.content
        with path.open("xb") as file:
            if isinstance(content, bytes):
                await run_in_threadpool(file.write, content)
                return
            while block := await content.read(BLOCK):
                await run_in_threadpool(file.write, block)


@dataclasses.dataclass(frozen=True)
class Asked:
    """Fields of a request.

    values: by name, texts or values of JSON.
    files: by name, those that are given.
    key_frames: files with their times in seconds, as texts or numbers.
    """

    values: dict[str, Any]
    files: dict[str, File]
    key_frames: list[tuple[File, Any]]


async def read_asked(request: Request) -> Asked:
    """Fields of a request.

    Raises:
        Refusal: another type of content, a body that cannot be read, or unknown fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _of(await json_object(request, most=MOST_JSON_BYTES))
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise Refusal(
            415,
            f"Content-Type {shortened(kind)!r} is not read: send multipart/form-data or "
            "application/json.",
            code="unsupported_media_type",
        )
    try:
        form = await request.form(
            max_files=len(FILES) + MOST_KEY_FRAMES,
            max_fields=len(TEXTS) + len(FILES) + 2 * MOST_KEY_FRAMES,
            max_part_size=MOST_FIELD_BYTES,
        )
    except HTTPException as error:
        raise Refusal(
            400, f"the form cannot be read: {error.detail}", code="invalid_form"
        ) from error
    values: dict[str, Any] = {}
    for name, value in form.multi_items():
        plain = name.removesuffix("[]")
        if plain in (KEY_FRAMES, TIMES):
            values.setdefault(plain, []).append(value)
        elif name in values:
            raise Refusal(400, f"{shortened(name)} is given twice.", param=shortened(name))
        else:
            values[name] = value
    return _of(values)


def _of(given: Mapping[str, Any]) -> Asked:
    """Sorted fields.

    Raises:
        Refusal: unknown fields, files that are none, or other numbers of key frames and times.
    """
    known = (*TEXTS, *FILES, KEY_FRAMES, TIMES)
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        shown = shortened(unknown)
        message = f"there is no field {shown!r}; there are {', '.join(known)}."
        raise Refusal(400, message, param=shown, code="unknown_field")
    for name in TEXTS:
        if isinstance(given.get(name), UploadFile | list | dict):
            raise Refusal(400, f"{name} must be a text or a number.", param=name)
    files = {name: _file(name, given[name]) for name in FILES if given.get(name)}
    pictures, times = (_list(given.get(name)) for name in (KEY_FRAMES, TIMES))
    if len(pictures) != len(times):
        raise Refusal(
            400,
            f"there are {len(pictures)} {KEY_FRAMES} and {len(times)} {TIMES}: give a time in "
            "seconds for each picture.",
            param=TIMES,
        )
    if len(pictures) > MOST_KEY_FRAMES:
        raise Refusal(400, f"at most {MOST_KEY_FRAMES} {KEY_FRAMES} are taken.", param=KEY_FRAMES)
    key_frames = [(_file(KEY_FRAMES, each), time) for each, time in zip(pictures, times)]
    values = {name: given[name] for name in TEXTS if given.get(name) is not None}
    return Asked(values, files, key_frames)


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _file(name: str, value: Any) -> File:
    """File of a field: an upload, a data URL, or an object that holds one."""
    if isinstance(value, UploadFile):
        return File(value)
    if isinstance(value, dict):
        value = next((value[each] for each in URL_NAMES if each in value), None)
    if not isinstance(value, str) or not value.startswith(DATA_URL):
        raise Refusal(
            400,
            f"{name} must be a file of a form, or in JSON a data: URL; addresses are not fetched.",
            param=name,
            code="invalid_file",
        )
    head, comma, content = value.partition(",")
    try:
        if not comma or not head.endswith(";base64"):
            raise binascii.Error
        return File(base64.b64decode(content, validate=True))
    except (binascii.Error, ValueError):
        raise Refusal(
            400, f"{name} is no data: URL in base64.", param=name, code="invalid_file"
        ) from None
