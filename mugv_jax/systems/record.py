# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Records of how a video was made, which lie in its file and can be repeated.

    {"schema": 1, "made_by": "mugv_jax 0.1.0", "system": "mugv", "prompt": ..., "seed": ...,
     "settings": options of `generate` that change frames,
     "inputs": option -> {"path", "sha256"}, or {"shape", "sha256"} of frames in memory,
     "weights": {"given": arguments of `from_pretrained`, "digests": file -> digest},
     "runtime": device, dtype, mesh and kernels, "after": what was done to the frames}

`weights/digests.py` says what a digest is. Equal records give equal frames on the same device with
the same versions; another device rounds differently. What is read back may come from anybody:
`options_of` checks it.
"""

import dataclasses
import hashlib
import importlib.metadata
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.files import existing_file, resolved, shortened, user_path
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.tiles import Tiling
from mugv_jax.video.records import Record
from mugv_jax.weights.adapters import Adapters, listed
from mugv_jax.weights.digests import file_digest, tokenizer_digest, weights_digest

SCHEMA = 1
KEYFRAMES = "keyframes"
_NUMBER = (int, float)
# Setting -> types that it may have in a record.
SETTINGS: dict[str, tuple[type, ...]] = {
    "size": (list,),
    "frames": (int,),
    "fit": (str,),
    "fps": _NUMBER,
    "steps": (int,),
    "shift": (*_NUMBER, type(None)),
    "times": (list, type(None)),
    "renoise": (bool,),
    "guidance": (dict,),
    "negative_prompt": (str,),
    "reuse_threshold": _NUMBER,
    "conditioning_fps": _NUMBER,
    "aesthetic_score": (*_NUMBER, type(None)),
    "strength": _NUMBER,
    "continue_frames": (int,),
    "rows": (int,),
    "fast_decode": (bool,),
}
INPUTS = ("image", "last_image", "continue_video", "init_video")


def record_of(
    models: Any,
    *,
    prompt: str,
    seed: int,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    tiling: Tiling | None = None,
    unused: Collection[str] = (),
) -> Record:
    """Record of one video.

    models: the `systems.models.Models` that make it.
    settings: options of the request, as plain values or dataclasses.
    inputs: option -> picture or video, in memory or as a path; of "keyframes" a mapping of them.
    unused: names of models on which the video does not depend.

    Raises:
        OSError: weights or inputs that cannot be read.
    """
    return {
        "schema": SCHEMA,
        "made_by": made_by(),
        "system": models.system.name,
        "prompt": _text(prompt),
        "seed": int(seed),
        "settings": {name: _plain(value) for name, value in settings.items()},
        "inputs": {
            name: {str(frame): input_of(each) for frame, each in value.items()}
            if isinstance(value, Mapping)
            else input_of(value)
            for name, value in (inputs or {}).items()
        },
        "weights": {
            "given": _plain(models.arguments),
            "digests": {k: v for k, v in models.digests().items() if k not in unused},
        },
        "runtime": _runtime(models, tiling),
    }


def with_after(record: Record | None, **after: Any) -> Record | None:
    """A record with what was done to the frames afterwards."""
    return None if record is None else {**record, "after": {**record.get("after", {}), **after}}


def input_of(source: Any) -> dict[str, Any]:
    """How a record names a picture or a video: a file by path and digest, else by digest alone."""
    if isinstance(source, str | os.PathLike):
        path = resolved(os.path.expanduser(source))
        return {"path": _text(path), "sha256": file_digest(path)}
    array = np.ascontiguousarray(source)
    return {"shape": list(array.shape), "sha256": hashlib.sha256(array.data).hexdigest()}


def digests_of(sources: Mapping[str, Path]) -> dict[str, str]:
    """Digest of every model, adapter and tokenizer by its name among `Models.sources`."""
    return {
        name: (tokenizer_digest if name.startswith("tokenizer") else weights_digest)(path)
        for name, path in sources.items()
    }


def different_weights(record: Mapping[str, Any], models: Any) -> list[str]:
    """Names of the weights in `models` that are not those of a record.

    A model that a system may lack counts only if the record names it.
    """
    stated = _mapping(_mapping(record, "weights"), "digests")
    optional = models.system.config.OPTIONAL
    own = {k: v for k, v in models.digests().items() if k in stated or k not in optional}
    return [name for name in {**stated, **own} if stated.get(name) != own.get(name)]


def arguments(*, lora: Adapters | None, **given: Any) -> dict[str, Any]:
    """Arguments that name files, with absolute paths, and repositories as they are."""
    pairs = [(os.path.abspath(path), scale) for path, scale in listed(lora)]
    return {
        **{name: _absolute(value) for name, value in given.items()},
        "lora": pairs or None,
    }


def _absolute(value: Any) -> Any:
    if not isinstance(value, str | os.PathLike):
        return value
    path = user_path(value)
    return os.fspath(path.absolute()) if path.exists() else os.fspath(value)


def digest_or_none(path: str | os.PathLike) -> str | None:
    """Digest of an adapter as records have it, or None if it cannot be read."""
    try:
        return weights_digest(user_path(path))
    except OSError:
        return None


def runtime_notes(record: Mapping[str, Any], models: Any) -> list[str]:
    """What differs from a record in device and versions, so that frames may differ slightly."""
    stated, notes = _mapping(record, "runtime"), []
    own = {**_runtime(models, None), "made_by": made_by()}
    for name in ("device", "jax", "made_by"):
        before = shortened(str({**stated, **record}.get(name)))
        if before != own[name]:
            notes.append(f"{name} was {before} and is {own[name]}: frames may differ slightly.")
    return notes


def made_by() -> str:
    """Name and version of this package."""
    return f"mugv_jax {importlib.metadata.version('mugv_jax')}"


def options_of(
    record: Mapping[str, Any], where: str, *, without: Collection[str] = ()
) -> dict[str, Any]:
    """Options of `generate` beside the prompt that repeat a record, with paths of its inputs.

    where: name of the record in errors.
    without: inputs that are given anew and are not looked for.

    Raises:
        ValueError: a record of a newer version or with values that it cannot have, or inputs that
            are missing, changed, or were not files.
    """
    if record.get("schema") != SCHEMA:
        raise ValueError(
            f"{where}: its record has the schema {shortened(str(record.get('schema')))}, and this "
            f"version reads {SCHEMA}: install the version that made it."
        )
    settings = _mapping(record, "settings")
    for name, value in (settings | {"seed": record.get("seed")}).items():
        types = {**SETTINGS, "seed": (int,)}.get(name)
        if types is None or type(value) not in types:
            raise ValueError(f"{where}: its record has no usable {name}: {shortened(str(value))}.")
    options = {**settings, "seed": record["seed"]}
    try:
        if "guidance" in options:
            options["guidance"] = guidance_of(options["guidance"])
        if "size" in options:
            width, height = map(int, options["size"])
            options["size"] = (width, height)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: its record has values that cannot be: {error}") from error
    inputs = {k: v for k, v in _mapping(record, "inputs").items() if k not in without}
    return options | _checked_inputs(inputs, where)


def guidance_of(values: Mapping[str, Any]) -> Guidance:
    """The guidance that a record describes."""
    given: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Guidance(**given)


def _checked_inputs(inputs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Paths of a record's inputs, by option."""
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        if name == KEYFRAMES and isinstance(value, Mapping):
            frames = {frame: f"keyframe {frame}" for frame in value}
            if not all(str(frame).lstrip("-").isdecimal() for frame in frames):
                raise ValueError(f"{where}: its record has key frames without numbers.")
            found[name] = {int(f): _checked(value[f], text, where) for f, text in frames.items()}
        elif name in INPUTS:
            found[name] = _checked(value, name, where)
        else:
            raise ValueError(f"{where}: its record has an unknown input {shortened(str(name))}.")
    return found


def _checked(stated: Any, name: str, where: str) -> str:
    """Path of one input, after a check that the file is the same as it was."""
    path = stated.get("path") if isinstance(stated, Mapping) else None
    remedy = f"give {name} anew, which replaces that of the record"
    if not isinstance(path, str):
        raise ValueError(
            f"{where}: was made with {name} from memory, which no file holds: {remedy}."
        )
    try:
        digest = file_digest(existing_file(path, "file"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{where}: was made with {name} {path!r}: {error} {remedy}.") from error
    if digest != stated.get("sha256"):
        raise ValueError(f"{where}: {name} {path!r} has changed since: {remedy}.")
    return path


def _runtime(models: Any, tiling: Tiling | None) -> dict[str, Any]:
    kernels = models.kernels
    return {
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "dtype": jnp.dtype(models.dtype).name,
        "quantize": models.quantize,
        "mesh": {axis: count for axis, count in models.mesh.shape.items() if count > 1},
        "kernels": None if kernels is None else dataclasses.asdict(kernels),
        "vae_tile": None if tiling is None else models.system.size.SPATIAL * tiling.rows,
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, str | os.PathLike):
        return _text(value)
    return value.item() if isinstance(value, np.generic) else value


def _text(path: str | os.PathLike) -> str:
    """A path as text; bytes of names that are no Unicode are replaced, as JSON has none of them."""
    return os.fspath(path).encode("utf-8", "replace").decode()


def _mapping(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name, {})
    return dict(value) if isinstance(value, Mapping) else {}
