# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Language models in a folder of `transformers`, run by PyTorch on a GPU if there is one.

A model that reads pictures gets them; for one that does not, `sees` is false. Answers are the most
probable ones, so that equal requests have equal answers.
"""

import contextlib
import functools
import gc
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from mugv_jax.files import resolved
from mugv_jax.rewriting.answer import Answer, RewritingError

MOST_TOKENS = 600  # of an answer


class LocalModel:
    """A chat model in a folder, which is loaded for an answer and freed afterwards.

    timeout_s: seconds that the writing of an answer may take, after loading.
    """

    def __init__(self, folder: Path, *, timeout_s: float = 120.0):
        self._folder, self._timeout_s = resolved(folder), timeout_s

    @property
    def model(self) -> str:
        """Name for messages."""
        return str(self._folder)

    @property
    def identity(self) -> str:
        """Path and date of the weights, for the cache."""
        newest = max((path.stat().st_mtime_ns for path in self._folder.iterdir()), default=0)
        return f"{self._folder} {newest}"

    @functools.cached_property
    def sees(self) -> bool:
        """Whether the model reads pictures.

        Raises:
            ValueError: no folder of transformers, or transformers or PyTorch are missing.
        """
        with self._errors():
            import transformers

            config = transformers.AutoConfig.from_pretrained(self._folder, local_files_only=True)
        return getattr(config, "vision_config", None) is not None

    def answer(self, system: str, request: str, *jpegs: bytes) -> Answer:
        """Answer to a request.

        jpegs: content of pictures, if `sees`.

        Raises:
            ValueError: a folder that cannot be used.
            RewritingError: the model ran out of time.
        """
        content: list[dict[str, Any]] = [
            {"type": "image", "image": Image.open(io.BytesIO(jpeg))} for jpeg in jpegs
        ]
        content.append({"type": "text", "text": request})
        asked: Any = content if self.sees else request
        told: Any = [{"type": "text", "text": system}] if self.sees else system
        messages = [{"role": "system", "content": told}, {"role": "user", "content": asked}]
        with self._loaded() as (reader, model):
            return self._written(reader, model, messages)

    def _written(self, reader: Any, model: Any, messages: list[dict[str, Any]]) -> Answer:
        import torch

        with self._errors():
            inputs = reader.apply_chat_template(
                messages,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            ).to(model.device)
        given = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            ids = model.generate(
                **inputs, max_new_tokens=MOST_TOKENS, do_sample=False, max_time=self._timeout_s
            )[0, given:]
        ends = model.generation_config.eos_token_id
        ended = bool(len(ids)) and int(ids[-1]) in (ends if isinstance(ends, list) else [ends])
        if not ended and len(ids) < MOST_TOKENS:
            raise RewritingError(f"{self.model}: no answer within {self._timeout_s:g} s.")
        return Answer(reader.decode(ids, skip_special_tokens=True), cut=not ended)

    @contextlib.contextmanager
    def _loaded(self) -> Iterator[tuple[Any, Any]]:
        """Tokenizer or processor, and the model; device memory is free again afterwards."""
        with self._errors():
            import torch
            import transformers

            of_model, of_reader = transformers.AutoModelForCausalLM, transformers.AutoTokenizer
            if self.sees:
                of_model = transformers.AutoModelForImageTextToText
                of_reader = transformers.AutoProcessor
            reader = of_reader.from_pretrained(self._folder, local_files_only=True)
            model: Any = of_model.from_pretrained(self._folder, local_files_only=True, dtype="auto")
            model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        try:
            yield reader, model
        finally:
            del model
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns errors of a folder that cannot be used into one ValueError."""
        try:
            yield
        except ImportError as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                "rewriting with a local model needs PyTorch (pip install 'mugv_jax[torch]') and "
                f"whatever else the model asks for: {reason}."
            ) from error
        except Exception as error:  # of transformers, of many kinds
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(
                f"rewrite model {self.model} is not the folder of a chat model that transformers "
                f"can read ({reason})."
            ) from error
