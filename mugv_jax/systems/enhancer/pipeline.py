# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The video enhancer of MUG-V: restores detail in a video of any length and size.

    prompt -> UMT5 -> text states
    window of frames -> Wan VAE encoder -> clean latent
    clean latent, the same with noise -> WanDiT, once per step and prompt -> latent
    latent -> Wan VAE decoder -> window, blended with the previous one

Frame 0 of a window is given, as in the model's training: the VAE reconstructs it. In all windows
but the first, the result takes that frame from the previous window.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any, Unpack

import numpy as np
from jaxtyping import UInt8

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.flow.schedule import sample_times
from mugv_jax.nn.wan.dit import WanDiT
from mugv_jax.progress import Bar
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import data_shards
from mugv_jax.systems import wan_windows
from mugv_jax.systems.enhancer.denoiser import EnhancerCondition, EnhancerDenoiser
from mugv_jax.systems.enhancer.models import EnhancerModels
from mugv_jax.systems.enhancer.request import EnhanceOptions, EnhanceRequest
from mugv_jax.systems.enhancer.system import EnhancerConfig
from mugv_jax.systems.models import LoadingOptions
from mugv_jax.systems.pipeline import Pipeline
from mugv_jax.systems.sampling import Start, sample_group, seed_noise
from mugv_jax.systems.text import padded
from mugv_jax.systems.tiles import Tiling
from mugv_jax.systems.time_windows import Window, joined, windows_of
from mugv_jax.weights.adapters import Adapters

SHIFT = 1.0  # published shift of the times


class EnhancerPipeline(Pipeline[EnhancerModels, EnhancerConfig]):
    """Video enhancer; see `systems.pipeline.Pipeline`."""

    MODELS = EnhancerModels

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        wan: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        lora_scale: float = 1.0,
        lora_merged: bool = True,
        tiling: Tiling | None = None,
        **options: Unpack[LoadingOptions],
    ) -> "EnhancerPipeline":
        """Pipeline from published or converted weights; see `EnhancerModels.from_pretrained`.

        Raises:
            ValueError: weights that are missing or damaged, or a mesh that does not fit.
        """
        models = EnhancerModels.from_pretrained(
            weights,
            wan=wan,
            lora=lora,
            lora_alpha=lora_alpha,
            lora_scale=lora_scale,
            lora_merged=lora_merged,
            **options,
        )
        return cls(models, tiling=tiling)

    def enhance(
        self, frames: Frames, *, progress: bool = True, **options: Unpack[EnhanceOptions]
    ) -> Frames:
        """The enhanced video, as long and large as `frames`.

        options: fields of `EnhanceRequest`.

        Raises:
            ValueError: no frames, or options out of range.
        """
        request = EnhanceRequest(**options)
        return np.concatenate(list(self.run(frames, request, progress=progress)))

    def run(
        self,
        frames: Iterable[UInt8[np.ndarray, "h w 3"]],
        request: EnhanceRequest,
        *,
        progress: bool = True,
    ) -> Iterator[Frames]:
        """The enhanced video, a few frames at a time, each part as soon as it is final.

        Memory holds two windows beside the models, regardless of the video's length.

        Raises:
            ValueError: no frames.
        """
        windows = windows_of(frames, request.window, request.overlap)
        first = next(windows)  # refuses an empty video before models load
        windows = itertools.chain([first], windows)
        yield from joined(self._enhanced(windows, request, progress=progress))

    def _enhanced(
        self, windows: Iterator[Window], request: EnhanceRequest, *, progress: bool
    ) -> Iterator[Window]:
        """Enhanced windows, computed one per data shard of the mesh at a time."""
        texts = self.read([request.prompt, request.negative_prompt])
        group, done = data_shards(self.models.mesh), 0
        bar = Bar("enhancing", unit="frame", shown=progress)
        with self.models.model("vae") as vae, self.models.model("dit") as dit, bar:
            while batch := list(itertools.islice(windows, group)):
                # The last group repeats its last window: one program serves all groups.
                clips = np.stack([w.frames for w in (*batch, *[batch[-1]] * group)][:group])
                with meshes.use(self.models.mesh):  # not across the yield
                    pixels = video.to_pixels(self._padded(clips))
                    clean = wan_windows.encode(*vae, pixels, tiling=self.tiling)
                    latent = self._denoise(*dit, clean, texts, request, request.seed + done)
                    parts = wan_windows.decode_in_steps(*vae, latent, tiling=self.tiling)
                    made = np.concatenate([video.to_frames(part) for part in parts], axis=1)
                frames, height, width = clips.shape[1:4]
                for window, each in zip(batch, made):
                    yield Window(window.start, each[:frames, :height, :width])
                done += len(batch)
                bar.update(batch[-1].start + len(batch[-1].frames) - bar.done)

    def read(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """Encoder states (s, d) of each text, without padding.

        Texts are kept for later calls; one call with several texts loads the encoder once.
        """
        return self._texts.read(texts, self.models.read_texts)

    @contextlib.contextmanager
    def loaded(self) -> Iterator[None]:
        """Keeps VAE and DiT loaded for several videos."""
        with self.models.model("vae"), self.models.model("dit"):
            yield

    def _padded(self, clips: np.ndarray) -> np.ndarray:
        """Clips padded to whole latents and tokens with their last frame, row and column."""
        config = self.models.config
        time, space = config.vae.time_factor, config.vae.spatial_factor
        frames, *sides = clips.shape[1:4]
        more = [(1 - frames) % time]
        more += [-side % (space * step) for side, step in zip(sides, config.dit.patch[1:])]
        return np.pad(clips, [(0, 0), *((0, each) for each in more), (0, 0)], mode="edge")

    def _denoise(
        self,
        dit: WanDiT,
        variables: Any,
        clean: np.ndarray,
        texts: dict[str, np.ndarray],
        request: EnhanceRequest,
        seed: int,
    ) -> np.ndarray:
        """Latents (b, f, h, w, c), sampled from time sigma down to 0 with frame 0 fixed.

        seed: seed of the first row; row number i has seed + i.
        """
        rows = len(clean)
        noisy = np.ones(clean.shape[:2], bool)
        noisy[:, 0] = False

        def condition(text: str) -> EnhancerCondition:
            # The DiT was trained with zeros after the end of a text.
            states, _ = padded([texts[text]] * rows, self.models.config.dit.text_tokens)
            return EnhancerCondition(text=states, clean=clean)

        guided = request.guidance.scale != 1
        sampled = sample_group(
            EnhancerDenoiser(dit),
            variables,
            self.models.mesh,
            Start(clean, noisy, seed_noise(range(seed, seed + rows), clean.shape[1:])),
            times=sample_times(request.steps, SHIFT, request.sigma),
            positive=condition(request.prompt),
            negative=condition(request.negative_prompt) if guided else None,
            guidance=request.guidance,
        )
        return np.asarray(sampled.x)
