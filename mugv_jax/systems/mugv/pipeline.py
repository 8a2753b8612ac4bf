# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V from prompt to video, on one page.

    prompts -> T5 -> text states
    given pictures -> VAE encoder -> given latents
    noise, given latents, text -> MUGDiT, once per step and prompt -> latents
    latents -> VAE decoder -> frames

Models are loaded when their turn comes and freed when it is over, so the peak is the largest one.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from mugv_jax import video
from mugv_jax.axes import Array, Float, Frames
from mugv_jax.flow import sampler
from mugv_jax.flow.path import interpolate
from mugv_jax.flow.schedule import sample_times, shift_ratio
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import batch_sharding
from mugv_jax.systems.denoise import Denoised, denoise
from mugv_jax.systems.frames import gather, whole_or_tiled
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.defaults import Defaults, read_defaults
from mugv_jax.systems.mugv.denoiser import MugvCondition, MugvDenoiser
from mugv_jax.systems.mugv.models import MugvModels, demo_weights
from mugv_jax.systems.mugv.request import GivenPixels, Request, read_given
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.systems.mugv.system import MugvConfig
from mugv_jax.systems.text import text_states
from mugv_jax.systems.tiles import Tiling


class MugvPipeline:
    """Text- and image-to-video. Make one with `from_pretrained` or `random`.

    tiling: the VAE works on overlapping tiles of this size, for frames too large for memory; None
        works on whole frames and falls back to tiles where decoding them does not fit.
    defaults: what `generate` asks for where it is not told; by default as the released pipeline.
    """

    def __init__(
        self,
        models: MugvModels,
        *,
        tiling: Tiling | None = None,
        defaults: Defaults | None = None,
    ):
        self.models = models
        self.tiling = tiling
        self.defaults = defaults or Defaults()

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike | None = None,
        *,
        dit: str | os.PathLike | None = None,
        lora: str | os.PathLike | None = None,
        text_encoder: str | os.PathLike | None = None,
        tokenizer: str | os.PathLike | None = None,
        mesh: dict[str, int] | None = None,
        dtype: DTypeLike | None = None,
        keep_loaded: bool = False,
        quantize: str | None = None,
        tiling: Tiling | None = None,
    ) -> "MugvPipeline":
        """From published or converted weights in a local folder or Hugging Face repository.

        weights: None for those of the demo, a small model that comes with the package. A
            `defaults.json` beside them says what `generate` asks for where it is not told.
        dit: another DiT than the one in `weights`: a checkpoint, or a training run.
        lora: folder of an adapter, saved by `peft`, to merge into the DiT.
        mesh: devices per axis, such as {"tensor": 4}; one device by default.
        dtype: of weights and arithmetic; bfloat16 on accelerators and float32 on CPU by default.
        keep_loaded: do not free models between calls of `generate`.
        quantize: "int8" or "fp8" weights in the transformers, for half the memory; a `lora` is
            merged before.

        Raises:
            ValueError: weights that are missing or damaged, or a mesh that does not fit.
        """
        weights = demo_weights() if weights is None else weights
        defaults = read_defaults(weights)
        models = MugvModels.from_pretrained(
            weights,
            dit=dit,
            lora=lora,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            mesh=mesh,
            dtype=dtype,
            keep_loaded=keep_loaded,
            quantize=quantize,
        )
        return cls(models, tiling=tiling, defaults=defaults)

    @classmethod
    def random(
        cls,
        config: MugvConfig,
        *,
        seed: int = 0,
        tiling: Tiling | None = None,
        **options: Any,
    ) -> "MugvPipeline":
        """With seeded random weights: everything runs, the picture is noise.

        options: mesh, dtype, keep_loaded and quantize as in `from_pretrained`.
        """
        return cls(MugvModels.random(config, seed=seed, **options), tiling=tiling)

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        progress: bool = True,
        **options: Any,
    ) -> video.Video | list[video.Video]:
        """One video per prompt; a list for a list of prompts.

        options: fields of `Request`: image, last_image, keyframes, continue_video, init_video,
            strength, steps, reuse_threshold, negative_prompt, fps, seed, ...; where they are not
            given, `self.defaults` counts first. Among them, in a simpler form, are
            size: (width, height) in pixels, multiples of 8.
            frames: 8k+1, or 8k without a first frame.
            guidance: a scale, or a `Guidance`.

        Raises:
            ValueError: a request that cannot be met, before any model is loaded.
        """
        prompts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
        request = self.defaults.request(prompts, **options)
        videos = list(self.run(request, read_given(request), progress=progress))
        return videos[0] if isinstance(prompt, str) else videos

    def run(
        self, request: Request, given: GivenPixels, *, progress: bool = True
    ) -> Iterator[video.Video]:
        """The videos of a request and its pictures (`read_given`), each as it is decoded."""
        latents = [made.latent for made in self.sample(request, given, progress=progress)]
        with self.models.model("vae") as vae:
            for number, latent in enumerate(latents, start=1):
                label = f"decoding video {number} of {len(latents)}" if progress else None
                with meshes.use(self.models.mesh):  # not across the yield: that is the caller's
                    frames = self._frames(latent, given, request.size, label, *vae)
                yield video.Video(frames, request.fps)

    def sample(
        self, request: Request, given: GivenPixels, *, progress: bool = True
    ) -> list[Denoised]:
        """The latent of each prompt."""
        with meshes.use(self.models.mesh):
            text = self._encode_text(request)
            clean, init = self._encode_given(given)
            return self._denoise(request, text, clean, init, progress=progress)

    def _encode_text(self, request: Request) -> dict[str, np.ndarray]:
        """States and mask of every prompt, then of the negative prompt."""
        ids, mask = self.models.tokenize([*request.texts(), request.negative_prompt])
        with self.models.model("text") as (module, variables):
            states = text_states(module, variables, ids, mask)
        return {"text": states, "text_mask": np.asarray(mask)}

    def _encode_given(self, pixels: GivenPixels) -> tuple[dict[int, np.ndarray], np.ndarray | None]:
        """Latents (h, w, c) by latent frame, and the latent (f, h, w, c) to start from."""
        if not pixels.images and pixels.start is None and pixels.init is None:
            return {}, None
        with self.models.model("vae") as (vae, variables):

            def encode(frames: np.ndarray) -> np.ndarray:
                batch = jnp.asarray(video.to_pixels(frames)[None])
                latent = windows.encode(vae, variables, batch, tiling=self.tiling)
                return np.asarray(latent[0], np.float32)

            given = {i: encode(frame[None])[0] for i, frame in pixels.images.items()}
            if pixels.start is not None:
                given |= dict(enumerate(encode(pixels.start)))
            return given, None if pixels.init is None else encode(pixels.init)

    def _denoise(
        self,
        request: Request,
        text: dict[str, np.ndarray],
        given: dict[int, np.ndarray],
        init: np.ndarray | None,
        *,
        progress: bool,
    ) -> list[Denoised]:
        """A latent for each prompt, from its noise down the path to time 0."""
        size = request.size
        ratio = request.shift or shift_ratio(size.height_px, size.width_px, size.latent_frames)
        start = 1.0 if init is None else request.strength
        times = sample_times(request.steps, ratio, start)
        with self.models.model("dit") as (dit, variables):
            denoiser = MugvDenoiser(dit)
            prompt = functools.partial(self._prompt, denoiser, variables, request, text)

            def sample(rows: list[int], label: str) -> sampler.Sample:
                x, noisy = self._start(request, rows, given, init, float(times[0]))
                guided = request.guidance.scale != 1
                return sampler.sample(
                    denoiser,
                    variables,
                    x,
                    times=times,
                    noisy=noisy,
                    positive=prompt(rows),
                    negative=prompt([len(request.prompts)] * len(rows)) if guided else None,
                    guidance=request.guidance,
                    reuse_threshold=request.reuse_threshold,
                    progress=label if progress else None,
                )

            return denoise(len(request.prompts), self.models.mesh, sample)

    def _start(
        self,
        request: Request,
        rows: list[int],
        given: dict[int, np.ndarray],
        init: np.ndarray | None,
        t: float,
    ) -> tuple[Float[Array, "b f h w c"], Array]:
        """The latents at time `t` (given frames clean) and which frames are noisy, on the mesh."""
        shape = (*request.size.latent_shape, self.models.config.dit.in_channels)
        noise = [jax.random.normal(jax.random.key(request.seed + i), shape) for i in rows]
        clean = jnp.zeros(shape) if init is None else jnp.asarray(init)
        noisy = np.ones((len(rows), shape[0]), bool)
        for index, latent in given.items():
            clean = clean.at[index].set(latent)
            noisy[:, index] = False
        time = jnp.where(noisy, jnp.float32(t), 0)
        x, _ = interpolate(jnp.stack([clean] * len(rows)), jnp.stack(noise), time)
        sharding = batch_sharding(self.models.mesh, len(rows))
        return jax.device_put(x, sharding), jax.device_put(noisy, sharding)

    def _prompt(
        self,
        denoiser: MugvDenoiser,
        variables: Any,
        request: Request,
        text: dict[str, np.ndarray],
        rows: list[int],
    ) -> MugvCondition:
        """The condition on some of the texts, as the network has read them."""
        count, frames = len(rows), request.size.latent_frames
        condition = MugvCondition.of(
            text["text"][rows], text["text_mask"][rows], request.conditioning_fps, frames
        )
        placed = jax.device_put(condition, batch_sharding(self.models.mesh, count))
        return sampler.read(denoiser, variables, placed)

    def _frames(
        self, latent: np.ndarray, given: GivenPixels, size: VideoSize, label: str | None, *vae: Any
    ) -> Frames:
        """All frames of a latent; those that were given as such are returned as given."""
        first = None if given.start is None else given.start[:1]

        def decode(tiling: Tiling | None) -> Frames:
            return gather(self._decode(latent, first, size, tiling, *vae), size.frames, label)

        frames, self.tiling = whole_or_tiled(decode, self.tiling)
        if given.start is not None:
            frames[: len(given.start)] = given.start
        return frames

    def _decode(
        self,
        latent: np.ndarray,
        first: np.ndarray | None,
        size: VideoSize,
        tiling: Tiling | None,
        vae: VideoVAE,
        variables: Any,
    ) -> Iterator[Frames]:
        """A few frames at a time. `first` is the first one, where it is known."""

        def decode(part: np.ndarray) -> Iterator[Frames]:
            for chunk in windows.decode_in_steps(
                vae, variables, jnp.asarray(part[None]), tiling=tiling
            ):
                yield video.to_frames(np.asarray(chunk[0]))

        if size.starts_with_image:
            # Latent 0 stands for one frame, repeated: decoded alone, its last is that one.
            yield list(decode(latent[:1]))[-1][-1:] if first is None else first
            latent = latent[1:]
        if len(latent):
            yield from decode(latent)
