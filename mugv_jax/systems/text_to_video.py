# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Text-to-video pipeline of all systems that decode with the Wan VAE.

    prompts -> text encoders -> condition
    noise, condition -> DiT, once per step and prompt -> latents
    latents -> Wan VAE decoder -> frames

Each model is loaded when it is needed and freed afterwards: the peak is the largest model.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, Unpack

import numpy as np

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.flow.sampler import Sample
from mugv_jax.flow.schedule import sample_times
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems import wan_windows
from mugv_jax.systems.compile_cache import keep_in_python
from mugv_jax.systems.frames import Videos, gather, whole_or_tiled
from mugv_jax.systems.loading import PretrainedOptions, loading_options
from mugv_jax.systems.models import Sizes
from mugv_jax.systems.pipeline import OwnModels, Pipeline
from mugv_jax.systems.sampling import Denoised, Start, denoise, sample_group, seed_noise
from mugv_jax.systems.steps import OnStep, Watch, unwatched
from mugv_jax.systems.text_request import GenerateOptions, TextRequest
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.adapters import Adapters

Own = TypeVar("Own", bound="TextPipeline")  # the system's class of pipelines


class TextPipeline(Pipeline[OwnModels, Sizes]):
    """Text-to-video; see `systems.pipeline.Pipeline`.

    REQUEST: the system's class of requests.
    """

    REQUEST: ClassVar[type[TextRequest]]
    OPTIONS = tuple(GenerateOptions.__annotations__)

    @classmethod
    def from_pretrained(
        cls: type[Own],
        weights: str | os.PathLike,
        *,
        dit: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        tiling: Tiling | None = None,
        compile_cache: bool | str | os.PathLike = True,
        **options: Unpack[PretrainedOptions],
    ) -> Own:
        """Pipeline from published or converted weights in a folder or Hugging Face repository.

        dit: another transformer than the one in `weights`: a checkpoint, or a training run.
        lora: adapters that are merged into the transformer: a path, a list of paths, or (path,
            scale) pairs; each is a file, a folder or a training run.
        lora_alpha: alpha of the adapters, if their files do not state it.
        compile_cache: see `systems.compile_cache.keep_in_python`.
        options: mesh, dtype, keep_loaded, quantize, ...; see `systems.models.LoadingOptions` and
            `systems.loading.PretrainedOptions`.

        Raises:
            ValueError: weights that are missing or damaged, or a mesh that does not fit.
        """
        loading = loading_options(cls, options)
        keep_in_python(compile_cache)
        models = cls.MODELS.from_pretrained(
            weights, dit=dit, lora=lora, lora_alpha=lora_alpha, **loading
        )
        return cls(models, tiling=tiling)

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        progress: bool = True,
        on_step: OnStep | None = None,
        **options: Unpack[GenerateOptions],
    ) -> video.Video | list[video.Video]:
        """One video for a prompt, or a list of videos for a list of prompts.

        on_step: is called after every step with a `systems.steps.Progress`.
        options: size, frames, guidance, steps, shift, negative_prompt, fps and seed; see
            `TextRequest`.

        Raises:
            ValueError: a request that cannot be met, before any model is loaded.
        """
        return self._generated(prompt, options, progress=progress, on_step=on_step)

    def _make(
        self,
        prompts: tuple[str, ...],
        options: Mapping[str, Any],
        *,
        latents: bool,
        progress: bool,
        watch: Watch,
    ) -> list[Any]:
        request = self.REQUEST.of(prompts, **options)
        make = self._latents if latents else self.run
        return list(make(request, progress=progress, watch=watch))

    def _latents(self, request: TextRequest, *, progress: bool, watch: Watch) -> list[np.ndarray]:
        return [made.latent for made in self.sample(request, progress=progress, watch=watch)]

    def run(
        self, request: TextRequest, *, progress: bool = True, watch: Watch = unwatched
    ) -> Iterator[video.Video]:
        """Videos of a request, each as soon as it is decoded, with records of how it was made.

        watch: observer of the steps of each group of prompts.
        """
        records = request.records(self.models, self.tiling)
        latents = self._latents(request, progress=progress, watch=watch)
        with self.models.model("vae") as vae:
            for number, latent in enumerate(latents, start=1):
                label = f"decoding video {number} of {len(latents)}" if progress else None
                with meshes.use(self.models.mesh):  # not across the yield
                    frames = self._frames(vae, latent, request.size.frames, label)
                yield video.Video(frames, request.fps, records[number - 1])

    def sample(
        self, request: TextRequest, *, progress: bool = True, watch: Watch = unwatched
    ) -> list[Denoised]:
        """Sampled latents of all prompts, or of those before the sampling was ended."""
        models: Any = self.models  # of a system with a DiT, which reads texts
        prompts, seeds = request.prompts, request.seeds()
        shape = (*request.size.latent_shape, models.config.dit.in_channels)
        guided, negative = request.guidance.scale != 1, request.negative_prompt
        wanted = [*prompts, negative] if guided else prompts
        texts = self._texts.read(wanted, models.read_texts)
        with meshes.use(models.mesh), models.model("dit") as (dit, variables):
            denoiser = models.system.denoiser(dit)

            def sample(group: list[int], label: str | None) -> Sample:
                return sample_group(
                    denoiser,
                    variables,
                    models.mesh,
                    Start.from_noise(seed_noise([seeds[i] for i in group], shape)),
                    times=sample_times(request.steps, request.shift),
                    positive=self._condition([texts[prompts[i]] for i in group]),
                    negative=self._condition([texts[negative]] * len(group)) if guided else None,
                    guidance=request.guidance,
                    progress=label,
                    on_step=watch(group),
                )

            return denoise(len(prompts), models.mesh, sample, progress=progress)

    def _condition(self, texts: Sequence[Any]) -> Any:
        """Condition of a batch, from what `Models.read_texts` returns for the text of each row."""
        raise NotImplementedError

    def _decoded(self, latent: Any) -> list[np.ndarray]:
        with self.models.model("vae") as vae:
            parts = wan_windows.decode_in_steps(*vae, np.asarray(latent), tiling=self.tiling)
            return [frames[0] for frames in video.to_frames(next(parts))]

    def _frames(
        self, vae: tuple[Any, Any], latent: np.ndarray, total: int, label: str | None
    ) -> Frames:
        def decode(tiling: Tiling | None) -> Videos:
            parts = wan_windows.decode_in_steps(*vae, latent[None], tiling=tiling)
            return gather((video.to_frames(part) for part in parts), total, label)

        frames, self.tiling = whole_or_tiled(decode, self.tiling)
        return frames[0]
