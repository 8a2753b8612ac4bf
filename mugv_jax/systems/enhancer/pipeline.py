# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The video enhancer of MUG-V: restores detail in a video of any length and size.

    prompt -> UMT5 -> text states
    window of frames -> Wan VAE encoder -> clean latent
    clean latent, the same with noise -> EnhancerDiT, once per step and prompt -> latent
    latent -> Wan VAE decoder -> window, blended with the previous one

Frame 0 of a window is given, as in the model's training: the VAE reconstructs it. In all windows
but the first, the result takes that frame from the previous window.
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Unpack

import numpy as np
from jaxtyping import UInt8

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.flow.sampler import Observer, Sample
from mugv_jax.flow.schedule import sample_times
from mugv_jax.nn.wan.enhancer import EnhancerDiT
from mugv_jax.progress import Bar
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import data_shards
from mugv_jax.systems import calling, wan_windows
from mugv_jax.systems.arguments import check_names, pixels_of
from mugv_jax.systems.compile_cache import keep_in_python
from mugv_jax.systems.enhancer.denoiser import EnhancerCondition, EnhancerDenoiser
from mugv_jax.systems.enhancer.models import EnhancerModels
from mugv_jax.systems.enhancer.request import EnhanceOptions, EnhanceRequest, request_of
from mugv_jax.systems.enhancer.system import EnhancerConfig
from mugv_jax.systems.loading import PretrainedOptions, loading_options
from mugv_jax.systems.pipeline import Pipeline
from mugv_jax.systems.sampling import Start, sample_group, seed_noise
from mugv_jax.systems.steps import OnStep, Watch, reporting, unwatched
from mugv_jax.systems.text import padded
from mugv_jax.systems.tiles import Tiling
from mugv_jax.systems.time_windows import Window, joined, windows_of
from mugv_jax.video import Video
from mugv_jax.weights.adapters import Adapters

SHIFT = 1.0  # published shift of the times
FPS = 24.0  # of frames that state no rate


def source_of(source: Any) -> Video:
    """Video of a path, of frames, or a `Video` itself.

    Raises:
        ValueError: no video.
    """
    if isinstance(source, Video):
        return source
    if isinstance(source, str | os.PathLike):
        return video.read_video(source)
    return Video(pixels_of(source), FPS)


class EnhancerPipeline(Pipeline[EnhancerModels, EnhancerConfig]):
    """Video enhancer; see `systems.pipeline.Pipeline`."""

    MODELS = EnhancerModels
    OPTIONS = tuple(EnhanceOptions.__annotations__)

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
        compile_cache: bool | str | os.PathLike = True,
        **options: Unpack[PretrainedOptions],
    ) -> "EnhancerPipeline":
        """Pipeline from published or converted weights; see `EnhancerModels.from_pretrained`.

        compile_cache: see `systems.compile_cache.keep_in_python`.
        options: see `systems.models.LoadingOptions` and `systems.loading.PretrainedOptions`.

        Raises:
            ValueError: weights that are missing or damaged, or a mesh that does not fit.
        """
        loading = loading_options(cls, options)
        keep_in_python(compile_cache)
        models = EnhancerModels.from_pretrained(
            weights,
            wan=wan,
            lora=lora,
            lora_alpha=lora_alpha,
            lora_scale=lora_scale,
            lora_merged=lora_merged,
            **loading,
        )
        return cls(models, tiling=tiling)

    def enhance(
        self,
        frames: Frames,
        *,
        progress: bool = True,
        on_step: OnStep | None = None,
        **options: Unpack[EnhanceOptions],
    ) -> Frames:
        """The enhanced video, as long and large as `frames`.

        on_step: is called after every step of every window with a `systems.steps.Progress`.
        options: fields of `EnhanceRequest`; guidance may be a scale.

        Raises:
            ValueError: no frames, or options out of range.
        """
        check_names(options, self.OPTIONS, "enhance")
        request = request_of(options)
        watch = self._watch(reporting(on_step))
        return np.concatenate(list(self.run(frames, request, progress=progress, watch=watch)))

    def __call__(
        self,
        prompt: str | None = None,
        negative_prompt: str | None = None,
        *,
        video: Any,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        strength: float | None = None,
        generator: Any = None,
        seed: Any = None,
        output_type: str | None = "np",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., Any] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """The enhanced video in the forms of diffusers; see `systems/calling.py`.

            pipe(video="clip.mp4", seed=1).frames[0]

        video: a path, frames, or a `Video`, which alone states a rate; the others count as 24 a
            second in `videos`.
        strength: `sigma` in diffusers' name.
        options: all others of `enhance`.

        Raises:
            ValueError: an option that is unknown, or a video that cannot be read.
        """
        output_type = output_type or "np"
        calling.check_output_type(output_type)
        if output_type == "latent":
            raise ValueError("output_type='latent': windows of a video have no common latent.")
        ignored = calling.IGNORED
        check_names(options, (*(n for n in self.OPTIONS if n != "seed"), *ignored), "the call")
        asked = calling.own_options(
            {
                **options,
                "prompt": prompt,
                "negative_prompt": negative_prompt,
                "num_inference_steps": num_inference_steps,
                "guidance_scale": guidance_scale,
                "sigma": strength if options.get("sigma") is None else options["sigma"],
            },
            temporal=self.vae_scale_factor_temporal,
        )
        (asked["seed"],) = calling.seeds_for(generator, seed, 1)
        call = calling.step_callback(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        source = source_of(video)
        request = request_of(asked)
        record = request.record(self.models, self.tiling, video)
        watch = self._watch(call)
        parts = self.run(source.frames, request, progress=self._shows_progress, watch=watch)
        made = Video(np.concatenate(list(parts)), source.fps, record)
        return self._output([made], [asked["seed"]], output_type, return_dict=return_dict)

    def run(
        self,
        frames: Iterable[UInt8[np.ndarray, "h w 3"]],
        request: EnhanceRequest,
        *,
        progress: bool = True,
        watch: Watch = unwatched,
    ) -> Iterator[Frames]:
        """The enhanced video, a few frames at a time, each part as soon as it is final.

        Memory holds two windows beside the models, regardless of the video's length. A window that
        `watch` ends early is the last one.

        Raises:
            ValueError: no frames.
        """
        windows = windows_of(frames, request.window, request.overlap)
        first = next(windows)  # refuses an empty video before models load
        windows = itertools.chain([first], windows)
        yield from joined(self._enhanced(windows, request, progress=progress, watch=watch))

    def _enhanced(
        self, windows: Iterator[Window], request: EnhanceRequest, *, progress: bool, watch: Watch
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
                    numbers = [done + min(i, len(batch) - 1) for i in range(group)]
                    sampled = self._denoise(
                        *dit, clean, texts, request, request.seed + done, watch(numbers)
                    )
                    latent = np.asarray(sampled.x)
                    parts = wan_windows.decode_in_steps(*vae, latent, tiling=self.tiling)
                    made = np.concatenate([video.to_frames(part) for part in parts], axis=1)
                frames, height, width = clips.shape[1:4]
                for window, each in zip(batch, made):
                    yield Window(window.start, each[:frames, :height, :width])
                done += len(batch)
                bar.update(batch[-1].start + len(batch[-1].frames) - bar.done)
                if sampled.stopped:
                    return

    def _decoded(self, latent: Any) -> list[np.ndarray]:
        with self.models.model("vae") as vae:
            parts = wan_windows.decode_in_steps(*vae, np.asarray(latent), tiling=self.tiling)
            return [frames[0] for frames in video.to_frames(next(parts))]

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
        dit: EnhancerDiT,
        variables: Any,
        clean: np.ndarray,
        texts: dict[str, np.ndarray],
        request: EnhanceRequest,
        seed: int,
        on_step: Observer | None,
    ) -> Sample:
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
        return sample_group(
            EnhancerDenoiser(dit),
            variables,
            self.models.mesh,
            Start(clean, noisy, seed_noise(range(seed, seed + rows), clean.shape[1:])),
            times=sample_times(request.steps, SHIFT, request.sigma),
            positive=condition(request.prompt),
            negative=condition(request.negative_prompt) if guided else None,
            guidance=request.guidance,
            on_step=on_step,
        )
