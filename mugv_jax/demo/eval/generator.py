# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small videos in batches, each equal to what `systems/mugv/pipeline.py` generates alone.

The pipeline computes one video per device at a time, and all videos of a request share their
pictures. Small videos leave a device idle that way, and a measurement has one picture per video.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from mugv_jax import video
from mugv_jax.axes import Array, Float, Latent
from mugv_jax.flow import sampler
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import sample_times, shift_ratio
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import batch_sharding
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.denoiser import MugvCondition, MugvDenoiser
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.size import MAX_TOKENS, VideoSize

# The underscores leave sizes in pixels unrelated to f, h and w of a latent in the same signature.
Videos = UInt8[np.ndarray, "b _f _h _w 3"]
Pictures = UInt8[np.ndarray, "b _h _w 3"]

NO_TEXT = ""  # negative prompt: guidance leads away from an empty text
TEXT_STEP = 64  # texts are padded to a multiple of this, so that nearly all share one program


@runtime_checkable
class Generator(Protocol):
    """Source of the videos that are measured."""

    def generate(
        self, captions: Sequence[str], seeds: Sequence[int], first: Pictures | None = None
    ) -> Videos:
        """One video per caption, from noise of its seed, that begins with its picture, if any."""

    def reconstruct(self, videos: Videos) -> Videos:
        """The videos after encoding and decoding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchedPipeline:
    """A `Generator` that runs MUG-V on whole batches.

    models: MUG-V's models, which should stay loaded (`keep_loaded`).
    size: size of all videos, 8k+1 frames.
    fps: frame rate that the model is conditioned on.
    shift: timestep shift, as in `Request`.
    rows: videos per batch; a smaller batch is padded, so that one program serves all.
    tiling: tiles of the VAE, as in `MugvPipeline`.
    """

    models: MugvModels
    size: VideoSize
    fps: float
    steps: int
    shift: float | None
    guidance: float
    rows: int
    tiling: windows.Tiling | None = None
    _texts: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def generate(
        self, captions: Sequence[str], seeds: Sequence[int], first: Pictures | None = None
    ) -> Videos:
        """Videos for the captions alone: without aesthetic score, with an empty negative prompt."""
        count = len(captions)
        captions, seeds = _repeated(captions, self.rows), _repeated(seeds, self.rows)
        first = None if first is None else np.stack(_repeated(first, self.rows))
        with meshes.use(self.models.mesh):
            given = None if first is None else self._encode(first[:, None])[:, 0]
            latent = self._sample(captions, seeds, given)
            return self._decode(latent, first)[:count]

    def reconstruct(self, videos: Videos) -> Videos:
        """The videos encoded to posterior means and decoded as sampled latents are."""
        padded = np.stack(_repeated(videos, self.rows))
        with meshes.use(self.models.mesh):
            return self._decode(self._encode(padded), None)[: len(videos)]

    def _sample(
        self, captions: list[str], seeds: list[int], given: Float[Array, "b h w c"] | None
    ) -> Latent:
        size, models = self.size, self.models
        shape = (*size.latent_shape, models.config.dit.in_channels)
        x = jnp.stack([jax.random.normal(jax.random.key(seed), shape) for seed in seeds])
        noisy = np.ones(x.shape[:2], bool)
        if given is not None:
            x, noisy[:, 0] = x.at[:, 0].set(given), False
        placed = functools.partial(jax.device_put, device=batch_sharding(models.mesh, len(x)))
        texts = self._read_texts([*captions, NO_TEXT])
        with models.model("dit") as (dit, variables):
            positive, negative = (
                sampler.read(MugvDenoiser(dit), variables, placed(self._condition(texts, of)))
                for of in (captions, [NO_TEXT] * len(captions))
            )
            by_size = shift_ratio(size.height_px, size.width_px, size.latent_frames)
            return sampler.sample(
                MugvDenoiser(dit),
                variables,
                placed(x),
                times=sample_times(self.steps, self.shift or by_size),
                noisy=placed(noisy),
                positive=positive,
                negative=None if self.guidance == 1 else negative,
                guidance=Guidance(scale=self.guidance),
            ).x

    def _condition(
        self, texts: dict[str, Float[np.ndarray, "_s d"]], of: Sequence[str]
    ) -> MugvCondition:
        longest = max(map(len, texts.values()))
        tokens = min(-(-longest // TEXT_STEP) * TEXT_STEP, MAX_TOKENS)
        lengths = np.array([len(texts[caption]) for caption in of])
        padded = [np.pad(texts[each], ((0, tokens - len(texts[each])), (0, 0))) for each in of]
        return MugvCondition.of(
            np.stack(padded),
            np.arange(tokens) < lengths[:, None],
            self.fps,
            self.size.latent_frames,
        )

    def _read_texts(self, captions: Sequence[str]) -> dict[str, Float[np.ndarray, "_s d"]]:
        """Encoder states of each caption, without padding; every caption is encoded only once."""
        new = sorted(set(captions) - self._texts.keys())
        if new:
            ids, mask = self.models.tokenize(new)
            with self.models.model("text") as (module, variables):
                for caption, i, m in zip(new, ids, mask, strict=True):
                    states = _text_states(module, variables, i[None], m[None])
                    self._texts[caption] = np.asarray(states[0])[m]
        return {caption: self._texts[caption] for caption in captions}

    def _encode(self, videos: Videos) -> Latent:
        with self.models.model("vae") as (vae, variables):
            pixels = jnp.asarray(video.to_pixels(videos))
            return windows.encode(vae, variables, pixels, tiling=self.tiling)

    def _decode(self, latent: Latent, first: Pictures | None) -> Videos:
        """Decoded videos; latent 0 stands for one frame: `first`, or the last it decodes to."""
        with self.models.model("vae") as model:
            if first is None:
                decoded = windows.decode(*model, latent[:, :1], tiling=self.tiling)
                first = video.to_frames(decoded[:, -1])
            rest = windows.decode(*model, latent[:, 1:], tiling=self.tiling)
            return np.concatenate([first[:, None], video.to_frames(rest)], axis=1)


def _repeated(items: Sequence[Any] | np.ndarray, rows: int) -> list[Any]:
    """`items`, padded to `rows` with copies of the last."""
    return [*items, *[items[-1]] * (rows - len(items))]


@functools.partial(jax.jit, static_argnums=0)
def _text_states(
    module: T5Encoder, variables: Any, ids: Array | np.ndarray, mask: Array | np.ndarray
) -> Array:
    return module.apply(variables, ids, mask)
