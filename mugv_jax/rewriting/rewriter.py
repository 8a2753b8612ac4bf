# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rewriting of prompts by a language model, with a cache on disk."""

import contextlib
import hashlib
import io
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mugv_jax import video
from mugv_jax.files import check_text, read_json, shortened, user_path
from mugv_jax.rewriting import instruction
from mugv_jax.rewriting.answer import description
from mugv_jax.rewriting.endpoint import Endpoint
from mugv_jax.rewriting.local import LocalModel

log = logging.getLogger(__name__)

CACHE = "~/.cache/mugv_jax/rewritten"
TIMEOUT_S = 120.0
LONGEST_PX = 1024  # side of a picture as a model gets it
TEXT = "rewritten"  # key of a cached file


class Rewriter:
    """Callable that turns a prompt into the long description that models were trained on.

        rewriter = Rewriter("Qwen2.5-VL-7B-Instruct")        # on the server of OPENAI_BASE_URL
        rewriter = Rewriter("models/Qwen2.5-VL-7B-Instruct")  # a folder, run by PyTorch
        prompt = rewriter("a paper boat in the rain", image="boat.png")
        video = pipeline.generate(prompt, image="boat.png")

    Raises:
        ValueError: a name that is no folder, with no endpoint in the environment, or a time limit
            that is not positive.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        timeout_s: float = TIMEOUT_S,
        cache: str | os.PathLike | None = CACHE,
    ):
        """Choose the model.

        model: a folder of transformers on this machine, or the name of a model on the server of the
            environment variables OPENAI_BASE_URL and OPENAI_API_KEY.
        timeout_s: seconds that an answer may take.
        cache: folder of answers, which are not asked for again; None asks every time.
        """
        if not timeout_s > 0:
            raise ValueError(f"timeout_s={timeout_s} must be a positive number of seconds.")
        folder = user_path(model)
        if folder.is_dir():
            self._model = LocalModel(folder, timeout_s=timeout_s)
        else:
            self._model = Endpoint.of_environment(os.fspath(model), timeout_s=timeout_s)
        self._cache = None if cache is None else user_path(cache)

    def __call__(self, prompt: str, image: Any = None) -> str:
        """The rewritten prompt, which is also logged.

        image: the first frame of the video: a path, uint8 (h, w, 3), or a PIL image.

        Raises:
            RewritingError: no answer, or one that cannot be used.
            ValueError: an empty prompt, or a picture or model folder that cannot be read.
        """
        if not prompt.strip():
            raise ValueError("prompt is empty: describe the video in words.")
        check_text("prompt", prompt)
        jpeg = None if image is None else _jpeg(image)
        if jpeg is not None and not self._model.sees:
            log.warning(
                "%s reads no pictures: it rewrites from the words alone.", self._model.model
            )
            jpeg = None
        key = {
            "model": self._model.identity,
            "prompt": prompt,
            "picture": None if jpeg is None else hashlib.sha256(jpeg).hexdigest(),
            "instruction": instruction.VERSION,
        }
        text, where = self._kept(key), "kept from before"
        if text is None:
            request = instruction.request(prompt, picture=jpeg is not None)
            answer = self._model.answer(
                instruction.SYSTEM, request, *([] if jpeg is None else [jpeg])
            )
            text, where = description(answer, self._model.model), "new"
            self._keep(key, text)
        shown = shortened(prompt)
        log.info("%r, rewritten by %s (%s): %s", shown, self._model.model, where, text)
        return text

    def _kept(self, key: dict[str, Any]) -> str | None:
        """Answer in the cache; damaged files count as none."""
        if self._cache is None:
            return None
        with contextlib.suppress(ValueError, OSError):
            found = read_json(self._path(self._cache, key))
            if isinstance(found, dict) and {name: found.get(name) for name in key} == key:
                text = found.get(TEXT)
                return text if isinstance(text, str) and text.strip() else None
        return None

    def _keep(self, key: dict[str, Any], text: str) -> None:
        """Write an answer to the cache, whole or not at all."""
        if self._cache is None:
            return
        path = self._path(self._cache, key)
        content = json.dumps({**key, TEXT: text}, indent=2, ensure_ascii=False)
        partial = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, delete=False, encoding="utf-8"
            ) as file:
                partial = Path(file.name)
                file.write(content)
            partial.replace(path)
        except OSError as error:
            if partial is not None:
                partial.unlink(missing_ok=True)
            log.warning("The rewritten prompt is not kept: %s.", error)

    @staticmethod
    def _path(cache: Path, key: dict[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return cache / f"{digest}.json"


def _jpeg(image: Any) -> bytes:
    """Content of a JPEG file of a picture, at most LONGEST_PX wide and high."""
    if isinstance(image, str | os.PathLike):
        image = video.read_image(image)
    pixels = video.to_rgb(image) if isinstance(image, Image.Image) else np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(
            f"image must be a file's path, a PIL image or uint8 (h, w, 3), not {pixels.dtype} "
            f"{pixels.shape}."
        )
    picture, content = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((LONGEST_PX, LONGEST_PX))
    picture.save(content, "JPEG", quality=90)
    return content.getvalue()
