# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP's embedding of a clip, by which near duplicates are found, and its aesthetic score."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax import video
from mugv_jax.axes import Float, Frames
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.nn.vision.clip import ClipImageEncoder
from mugv_jax.rewards.files import IMAGE, load_encoder, read_aesthetic, read_encoders
from mugv_jax.rewards.heads import aesthetic_score, unit
from mugv_jax.rewards.preprocess import preprocess


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipScores(Stage):
    """Mean embedding of the key frames, and the mean of their scores by LAION's predictor.

    folder: CLIP as transformers saves it, `openai/clip-vit-large-patch14` for the predictor; ""
        measures neither.
    head: the predictor, `sac+logos+ava1-l14-linearMSE.pth`; "" leaves the score out.
    dtype: of the encoder's weights and matrix products; float32 or bfloat16.
    """

    NAME = "clip"
    READS = ("key_frames",)
    WRITES: ClassVar = {"aesthetic": "float64", "embedding": "binary"}
    MODEL = True

    folder: str = ""
    head: str = ""
    dtype: str = "float32"

    def __post_init__(self):
        if self.head and not self.folder:
            raise ValueError(f"head={self.head!r} reads embeddings of CLIP: set folder too.")

    @property
    def measured(self) -> frozenset[str]:
        has = {"embedding": self.folder, "aesthetic": self.head}
        return frozenset(name for name, given in has.items() if given)

    def check(self) -> None:
        if self.folder:
            _ = self._config
        if self.head:
            _ = self._layers

    def run(self, rows: Sequence[Row]) -> list[Row]:
        if not self.folder:
            return [{**row, "aesthetic": None, "embedding": None} for row in rows]
        return [{**row, **self._scores(row["key_frames"])} for row in rows]

    def _scores(self, frames: Frames) -> Row:
        summaries = self._encode(frames)
        score = None
        if self.head:
            score = float(jnp.mean(aesthetic_score(summaries[None], self._layers)))
        mean = unit(jnp.mean(unit(summaries), axis=0))
        return {"aesthetic": score, "embedding": np.asarray(mean, np.float16).tobytes()}

    @functools.cached_property
    def _config(self) -> Any:
        return read_encoders(self.folder, IMAGE)[IMAGE]

    @functools.cached_property
    def _encode(self) -> Callable[[Frames], Float[jax.Array, "k c"]]:
        """Projected summaries of frames (k h w 3)."""
        encoder = ClipImageEncoder(self._config, jnp.dtype(self.dtype))
        variables = load_encoder(self.folder, IMAGE, self.dtype)
        apply: Any = jax.jit(encoder.apply)

        def encode(frames: Frames) -> Float[jax.Array, "k c"]:
            pixels = jnp.asarray(video.to_pixels(frames))
            return apply(variables, preprocess(pixels, self._config.side_px)).pooled

        return encode

    @functools.cached_property
    def _layers(self) -> Any:
        return jax.tree.map(jnp.asarray, read_aesthetic(self.head, self._config.features))
