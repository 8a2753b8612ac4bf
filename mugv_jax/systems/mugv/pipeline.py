# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V from prompt to video.

    prompts -> T5 -> text states
    given pictures -> VAE encoder -> given latents
    noise, given latents, text -> MUGDiT, once per step and prompt -> latents
    latents -> VAE decoder -> frames

Each model is loaded when it is needed and freed afterwards: the peak is the largest model.
"""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack

import jax.numpy as jnp
import numpy as np

from mugv_jax import video
from mugv_jax.axes import Array, Float
from mugv_jax.flow.renoise import seed_keys
from mugv_jax.flow.sampler import Sample
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.compile_cache import keep_in_python
from mugv_jax.systems.frames import Videos, gather, whole_or_tiled
from mugv_jax.systems.loading import PretrainedOptions, loading_options
from mugv_jax.systems.mugv.clips import decode_frames, encode_clips
from mugv_jax.systems.mugv.defaults import Defaults, read_defaults
from mugv_jax.systems.mugv.denoiser import MugvCondition, MugvDenoiser
from mugv_jax.systems.mugv.given import GivenPixels
from mugv_jax.systems.mugv.models import MugvModels, demo_weights
from mugv_jax.systems.mugv.request import Request, RequestOptions, read_given
from mugv_jax.systems.mugv.size import MAX_TOKENS, VideoSize
from mugv_jax.systems.mugv.system import MugvConfig
from mugv_jax.systems.pipeline import Pipeline
from mugv_jax.systems.sampling import (
    Denoised,
    Start,
    denoise,
    groups,
    label_of,
    rows_at_a_time,
    sample_group,
    seed_noise,
)
from mugv_jax.systems.steps import OnStep, Watch, unwatched
from mugv_jax.systems.text import padded, padded_length
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.adapters import Adapters


class MugvPipeline(Pipeline[MugvModels, MugvConfig]):
    """Text- and image-to-video; see `systems.pipeline.Pipeline`.

    defaults: values of options not given to `generate`; None means the released pipeline's.
    """

    MODELS = MugvModels
    OPTIONS = tuple(RequestOptions.__annotations__)

    def __init__(
        self,
        models: MugvModels,
        *,
        tiling: Tiling | None = None,
        defaults: Defaults | None = None,
    ):
        super().__init__(models, tiling=tiling)
        self.defaults = defaults or Defaults()

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike | None = None,
        *,
        dit: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        text_encoder: str | os.PathLike | None = None,
        tokenizer: str | os.PathLike | None = None,
        tiling: Tiling | None = None,
        compile_cache: bool | str | os.PathLike = True,
        **options: Unpack[PretrainedOptions],
    ) -> "MugvPipeline":
        """Pipeline from published or converted weights in a folder or Hugging Face repository.

        weights: None for the demo's weights, a small model that comes with the package. A
            `defaults.json` beside them has the defaults of `generate`, and one beside `dit` or an
            adapter replaces those that it names.
        dit, text_encoder, tokenizer: where they are, if not in `weights`; see `find_weights`.
        lora: adapters that are merged into the transformer: a path, a list of paths, or (path,
            scale) pairs; each is a file, a folder or a training run.
        lora_alpha: alpha of the adapters, if their files do not state it.
        compile_cache: keep compiled programs in the folder of the commands, in another folder, or
            not; see `systems.compile_cache.keep_in_python`.
        options: mesh, dtype, keep_loaded, quantize, ...; see `systems.models.LoadingOptions` and
            `systems.loading.PretrainedOptions`.

        Raises:
            ValueError: weights that are missing or damaged, or a mesh that does not fit.
        """
        loading = loading_options(cls, options)
        keep_in_python(compile_cache)
        weights = demo_weights() if weights is None else weights
        defaults = read_defaults(weights, dit=dit, lora=lora)
        models = MugvModels.from_pretrained(
            weights,
            dit=dit,
            lora=lora,
            lora_alpha=lora_alpha,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            **loading,
        )
        return cls(models, tiling=tiling, defaults=defaults)

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        progress: bool = True,
        on_step: OnStep | None = None,
        **options: Unpack[RequestOptions],
    ) -> video.Video | list[video.Video]:
        """One video for a prompt, or a list of videos for a list of prompts.

            generate(["a boat", "a cat"], image=[boat, cat], seed=[3, 9], rows=2)

        on_step: is called after every step with a `systems.steps.Progress`.
        options: fields of `Request`: image, last_image, keyframes, continue_video, init_video,
            strength, steps, reuse_threshold, negative_prompt, fps, seed, rows, fast_decode, ...;
            where they are not given, `self.defaults` counts first. In a simpler form may be given
            size: (width, height) in pixels, multiples of 8, or a text such as "1280x720".
            frames: 8k+1, or 8k without a first frame; or a text such as "5s".
            guidance: a scale, or a `Guidance`.

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
        request = self.defaults.request(prompts, **options)
        make = self._latents if latents else self.run
        return list(make(request, read_given(request), progress=progress, watch=watch))

    def _latents(
        self, request: Request, given: Sequence[GivenPixels], *, progress: bool, watch: Watch
    ) -> list[np.ndarray]:
        made = self.sample(request, given, progress=progress, watch=watch)
        return [each.latent for each in made]

    def run(
        self,
        request: Request,
        given: Sequence[GivenPixels],
        *,
        progress: bool = True,
        watch: Watch = unwatched,
    ) -> Iterator[video.Video]:
        """Videos of a request, each as soon as it is decoded, with records of how it was made.

        given: the request's pictures and videos, from `read_given`.
        watch: observer of the steps of each group of prompts.

        Raises:
            ValueError: a fast decode without a tiny decoder, before any model is loaded.
        """
        if request.fast_decode:
            self.models.require_tiny_decoder()
        records = request.records(self.models, self.tiling)
        latents = self._latents(request, given, progress=progress, watch=watch)
        count = len(latents)
        with self.models.model("tiny_decoder" if request.fast_decode else "vae") as vae:
            for group in groups(count, self._vae_rows(request.rows)):
                label = label_of("decoding", group, count) if progress else None
                latent, pixels = np.stack([latents[i] for i in group]), [given[i] for i in group]
                with meshes.use(self.models.mesh):  # not across the yield
                    frames = self._frames(*vae, latent, pixels, request.size, label)
                for number, each in zip(sorted(set(group)), frames):
                    yield video.Video(each, request.fps, records[number])

    def sample(
        self,
        request: Request,
        given: Sequence[GivenPixels],
        *,
        progress: bool = True,
        watch: Watch = unwatched,
    ) -> list[Denoised]:
        """Sampled latents of all prompts, or of those before the sampling was ended."""
        prompts, negative, seeds = request.texts(), request.negative_prompt, request.seeds()
        guided, mesh = request.guidance.scale != 1, self.models.mesh
        wanted = [*prompts, negative] if guided else prompts
        texts = self.text_states(wanted)
        condition = functools.partial(self._condition, request, texts)
        with meshes.use(mesh):
            latents = self._encode_given(given, request.rows)
            with self.models.model("dit") as (dit, variables):
                shape = (*request.size.latent_shape, dit.config.in_channels)

                def sample(group: list[int], label: str | None) -> Sample:
                    clean, noisy = zip(*(given[i].start_of(latents, shape) for i in group))
                    own = [seeds[i] for i in group]
                    return sample_group(
                        MugvDenoiser(dit),
                        variables,
                        mesh,
                        Start(np.stack(clean), np.stack(noisy), seed_noise(own, shape)),
                        times=request.schedule(),
                        positive=condition([prompts[i] for i in group]),
                        negative=condition([negative] * len(group)) if guided else None,
                        guidance=request.guidance,
                        renoise=seed_keys(own) if request.renoise else None,
                        reuse_threshold=request.reuse_threshold,
                        progress=label,
                        on_step=watch(group),
                    )

                return denoise(len(prompts), mesh, sample, rows=request.rows, progress=progress)

    def text_states(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Encoder states (s, d) of each text, without padding; those read last are kept."""
        return self._texts.read(texts, self.models.read_texts)

    def decode(
        self, latents: Float[np.ndarray, "b f h w c"], size: VideoSize, *, rows: int | None = None
    ) -> Videos:
        """Frames of sampled latents of one size.

        rows: videos that pass the VAE together; None passes one at a time.
        """
        rows, made = self._vae_rows(rows), []
        with meshes.use(self.models.mesh), self.models.model("vae") as vae:
            for group in groups(len(latents), rows):
                decoded = self._frames(*vae, latents[group], [GivenPixels()] * len(group), size)
                made.append(decoded[: len(set(group))])
        return np.concatenate(made)

    def reconstruct(self, videos: Videos, *, rows: int | None = None) -> Videos:
        """Videos after the VAE: encoded to the posterior's mean and decoded.

        rows: videos that pass the VAE together; None passes one at a time.

        Raises:
            ValueError: a size or length that `VideoSize` refuses, or `rows` below 1.
        """
        frames, height, width = videos.shape[1:4]
        size = VideoSize(width_px=width, height_px=height, frames=frames)
        rows, made = self._vae_rows(rows), []
        with meshes.use(self.models.mesh), self.models.model("vae") as vae:
            for group in groups(len(videos), rows):
                latents = encode_clips(*vae, list(videos[group]), rows=rows, tiling=self.tiling)
                decoded = self._frames(*vae, np.stack(latents), [GivenPixels()] * len(group), size)
                made.append(decoded[: len(set(group))])
        return np.concatenate(made)

    def _encode_given(
        self, given: Sequence[GivenPixels], rows: int | None
    ) -> dict[int, np.ndarray]:
        """Latent of each given clip, by the clip's `id`; a shared one is encoded once."""
        clips = {id(clip): clip for each in given for clip in each.clips()}
        if not clips:
            return {}
        distinct, rows = list(clips.values()), self._vae_rows(rows)
        with self.models.model("vae") as vae:
            encoded = encode_clips(*vae, distinct, rows=rows, tiling=self.tiling)
        return dict(zip(clips, encoded, strict=True))

    def _condition(
        self, request: Request, texts: dict[str, np.ndarray], chosen: list[str]
    ) -> MugvCondition:
        """Condition on the `chosen` texts, padded to the length of the longest in `texts`."""
        tokens = padded_length(texts.values(), MAX_TOKENS)
        text, mask = padded([texts[each] for each in chosen], tokens)
        return MugvCondition.of(
            jnp.asarray(text),
            jnp.asarray(mask),
            request.conditioning_fps,
            request.size.latent_shape[0],
        )

    def _decoded(self, latent: Any) -> list[np.ndarray]:
        tiny = self.models.config.tiny_decoder is not None
        with self.models.model("tiny_decoder" if tiny else "vae") as vae:
            parts = decode_frames(*vae, latent, starts_with_image=True, tiling=self.tiling)
            return [frames[0] for frames in next(parts)]

    def _vae_rows(self, rows: int | None) -> int:
        """Number of videos that pass the VAE together; one by default, for least memory."""
        return 1 if rows is None else rows_at_a_time(self.models.mesh, rows)

    def _frames(
        self,
        vae: Any,
        variables: Any,
        latent: Float[Array | np.ndarray, "b f h w c"],
        given: Sequence[GivenPixels],
        size: VideoSize,
        label: str | None = None,
    ) -> Videos:
        """Decoded frames of latents; frames of a continued video are returned as given."""
        starts = [pixels.start for pixels in given if pixels.start is not None]
        first = np.stack([start[:1] for start in starts]) if len(starts) == len(given) else None

        def decode(tiling: Tiling | None) -> Videos:
            parts = decode_frames(
                vae,
                variables,
                latent,
                starts_with_image=size.starts_with_image,
                first=first,
                tiling=tiling,
            )
            return gather(parts, size.frames, label)

        frames, self.tiling = whole_or_tiled(decode, self.tiling)
        for each, pixels in zip(frames, given, strict=True):
            if pixels.start is not None:
                each[: len(pixels.start)] = pixels.start
        return frames
