# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV from prompt to video (arXiv:2506.05343).

    prompts -> two CLIPs and T5 -> text states and summaries
    noise, text -> MMDiT, once per step and prompt -> latents
    latents -> Wan VAE decoder -> frames

Each model is loaded when it is needed and freed afterwards: the peak is the largest model.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jax.typing import DTypeLike

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.flow.sampler import Sample
from mugv_jax.flow.schedule import sample_times
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems import wan_windows
from mugv_jax.systems.contentv.denoiser import ContentvCondition, ContentvDenoiser
from mugv_jax.systems.contentv.models import ContentvModels
from mugv_jax.systems.contentv.request import ContentvRequest, GenerateOptions, make_request
from mugv_jax.systems.contentv.system import ContentvConfig
from mugv_jax.systems.frames import Videos, gather, whole_or_tiled
from mugv_jax.systems.models import RandomOptions
from mugv_jax.systems.sampling import Denoised, Start, denoise, sample_group, seed_noise
from mugv_jax.systems.text_cache import TextCache
from mugv_jax.systems.tiles import Tiling


class ContentvPipeline:
    """Text-to-video. Make one with `from_pretrained` or `random`.

    tiling: the VAE works on tiles of this size, for frames too large for memory; None
        works on whole frames and falls back to tiles where decoding them does not fit.
    """

    def __init__(self, models: ContentvModels, *, tiling: Tiling | None = None):
        self.models = models
        self.tiling = tiling
        self._texts = TextCache()

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        dit: str | os.PathLike | None = None,
        lora: str | os.PathLike | None = None,
        mesh: dict[str, int] | None = None,
        dtype: DTypeLike | None = None,
        keep_loaded: bool = False,
        quantize: str | None = None,
        tiling: Tiling | None = None,
    ) -> "ContentvPipeline":
        """Pipeline from published or converted weights in a folder or Hugging Face repository.

        dit: another transformer than the one in `weights`: a checkpoint, or a training run.
        lora: adapter to merge into the transformer, a file or folder.
        mesh: devices per axis, such as {"tensor": 2}; one device by default.
        dtype: dtype of weights and arithmetic, by default bfloat16, or float32 on a CPU.
        keep_loaded: do not free models between calls of `generate`.
        quantize: "int8" or "fp8" weights in transformer and text encoders, for half the memory.

        Raises:
            ValueError: weights that are missing or damaged, or a mesh that does not fit.
        """
        models = ContentvModels.from_pretrained(
            weights,
            dit=dit,
            lora=lora,
            mesh=mesh,
            dtype=dtype,
            keep_loaded=keep_loaded,
            quantize=quantize,
        )
        return cls(models, tiling=tiling)

    @classmethod
    def random(
        cls,
        config: ContentvConfig,
        *,
        seed: int = 0,
        tiling: Tiling | None = None,
        **options: Unpack[RandomOptions],
    ) -> "ContentvPipeline":
        """Pipeline with seeded random weights: everything runs, but the videos are noise.

        options: mesh, dtype, keep_loaded and quantize as in `from_pretrained`.
        """
        return cls(ContentvModels.random(config, seed=seed, **options), tiling=tiling)

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        progress: bool = True,
        **options: Unpack[GenerateOptions],
    ) -> video.Video | list[video.Video]:
        """One video for a prompt, or a list of videos for a list of prompts.

        options: size, frames, guidance, steps, shift, negative_prompt, fps and seed; see
            `make_request`.

        Raises:
            ValueError: a request that cannot be met, before any model is loaded.
        """
        prompts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
        videos = list(self.run(make_request(prompts, **options), progress=progress))
        return videos[0] if isinstance(prompt, str) else videos

    def run(self, request: ContentvRequest, *, progress: bool = True) -> Iterator[video.Video]:
        """Videos of a request, each as soon as it is decoded."""
        latents = [made.latent for made in self.sample(request, progress=progress)]
        with self.models.model("vae") as vae:
            for number, latent in enumerate(latents, start=1):
                label = f"decoding video {number} of {len(latents)}" if progress else None
                with meshes.use(self.models.mesh):  # not across the yield
                    frames = self._frames(latent, request.size.frames, label, vae)
                yield video.Video(frames, request.fps)

    def sample(self, request: ContentvRequest, *, progress: bool = True) -> list[Denoised]:
        """Sampled latents of all prompts."""
        prompts, seeds = request.prompts, request.seeds()
        shape = (*request.size.latent_shape, self.models.config.dit.in_channels)
        guided, negative = request.guidance.scale != 1, request.negative_prompt
        texts = self._texts.read([*prompts, negative] if guided else prompts, self._encode_texts)
        with meshes.use(self.models.mesh), self.models.model("dit") as (dit, variables):

            def sample(group: list[int], label: str | None) -> Sample:
                return sample_group(
                    ContentvDenoiser(dit),
                    variables,
                    self.models.mesh,
                    Start.from_noise(seed_noise([seeds[i] for i in group], shape)),
                    times=sample_times(request.steps, request.shift),
                    positive=stacked([texts[prompts[i]] for i in group]),
                    negative=stacked([texts[negative]] * len(group)) if guided else None,
                    guidance=request.guidance,
                    progress=label,
                )

            return denoise(len(prompts), self.models.mesh, sample, progress=progress)

    def _encode_texts(self, texts: list[str]) -> list[ContentvCondition]:
        """Condition of each text, without a batch axis."""
        with meshes.use(self.models.mesh):
            read = ContentvCondition(**self.models.read_texts(texts))
        return [jax.tree.map(lambda array, i=i: array[i].copy(), read) for i in range(len(texts))]

    def _frames(self, latent: np.ndarray, total: int, label: str | None, vae: Any) -> Frames:
        """All frames of a latent."""
        module, variables = vae

        def decode(tiling: Tiling | None) -> Videos:
            parts = wan_windows.decode_in_steps(module, variables, latent[None], tiling=tiling)
            return gather((video.to_frames(part) for part in parts), total, label)

        frames, self.tiling = whole_or_tiled(decode, self.tiling)
        return frames[0]


def stacked(rows: Sequence[ContentvCondition]) -> ContentvCondition:
    """Condition of a batch, from the conditions of its rows."""
    return jax.tree.map(lambda *arrays: np.stack(arrays), *rows)
