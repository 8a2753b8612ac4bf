# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What all pipelines share: models, tiles of the VAE, calls, and a cache of texts."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar, Unpack

import numpy as np

from mugv_jax.systems import calling, steps
from mugv_jax.systems.arguments import check_names
from mugv_jax.systems.compile_cache import keep_in_python
from mugv_jax.systems.diffusers_methods import DiffusersMethods
from mugv_jax.systems.models import Models, Options, Sizes
from mugv_jax.systems.save import save_pipeline
from mugv_jax.systems.steps import OnStep, Watch
from mugv_jax.systems.text import TextCache
from mugv_jax.systems.tiles import Tiling
from mugv_jax.video import Video

Own = TypeVar("Own", bound="Pipeline")  # the system's class of pipelines
OwnModels = TypeVar("OwnModels", bound=Models)


class Pipeline(DiffusersMethods, Generic[OwnModels, Sizes]):
    """Pipeline of one system. Make one with `from_pretrained` or `random`.

    tiling: the VAE works on tiles of this size, for frames too large for memory; None
        works on whole frames and, in systems that generate, falls back to tiles where decoding
        them does not fit.
    """

    MODELS: ClassVar[Any]  # the system's class of models
    OPTIONS: ClassVar[Collection[str]]  # of `generate`, beside the prompt
    models: OwnModels

    def __init__(self, models: OwnModels, *, tiling: Tiling | None = None):
        self.models = models
        self.tiling = tiling
        self._texts = TextCache()

    @classmethod
    def random(
        cls: type[Own],
        config: Sizes,
        *,
        seed: int = 0,
        tiling: Tiling | None = None,
        compile_cache: bool | str | os.PathLike = True,
        **options: Unpack[Options],
    ) -> Own:
        """Pipeline with seeded random weights: everything runs, but the videos are noise.

        compile_cache: see `systems.compile_cache.keep_in_python`.
        options: see `systems.models.Options`.
        """
        keep_in_python(compile_cache)
        return cls(cls.MODELS.random(config, seed=seed, **options), tiling=tiling)

    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        *,
        num_videos_per_prompt: int | None = 1,
        generator: Any = None,
        seed: Any = None,
        output_type: str | None = "np",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., Any] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Videos, by the names and in the forms of diffusers; see `systems/calling.py`.

            pipe("a boat", height=720, width=1280, num_frames=105, seed=1).frames[0]

        options: image, last_image, video, and all others of `generate`. What is not given has the
            pipeline's own defaults, not Wan's.
        generator, seed: see `systems.arguments.seed_of`; without one, seeds are drawn.
        output_type: form of `frames`, see `systems.calling.Output`.
        return_dict: False gives the tuple (frames,).
        callback_on_step_end: see `systems.calling.step_callback`.

        Raises:
            ValueError: an option that is unknown, or a request that cannot be met.
        """
        output_type = output_type or "np"
        calling.check_output_type(output_type)
        check_names(options, (*self._own_names(), *calling.REFUSED, *calling.IGNORED), "the call")
        asked = calling.own_options(
            {
                **options,
                "negative_prompt": negative_prompt,
                "height": height,
                "width": width,
                "num_frames": num_frames,
                "num_inference_steps": num_inference_steps,
                "guidance_scale": guidance_scale,
            },
            temporal=self.vae_scale_factor_temporal,
        )
        if getattr(self, "_shift", None) is not None:
            asked.setdefault("shift", self._shift)
        prompts = calling.prompts_of(prompt, num_videos_per_prompt)
        seeds = calling.seeds_for(generator, seed, len(prompts))
        call = calling.step_callback(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        made = self._make(
            tuple(prompts),
            {**calling.repeated(asked, num_videos_per_prompt), "seed": seeds},
            latents=output_type == "latent",
            progress=self._shows_progress,
            watch=self._watch(call),
        )
        return self._output(made, seeds, output_type, return_dict=return_dict)

    def save_pretrained(
        self, folder: str | os.PathLike, *, dtype: str | None = None, overwrite: bool = False
    ) -> None:
        """Writes all models into one folder in the layout of diffusers, adapters merged in.

        dtype: cast weights to this dtype, such as "bfloat16"; None keeps them bit for bit.

        Raises:
            ValueError: random weights, a system without such a layout, or a folder that exists.
        """
        save_pipeline(self.models, folder, dtype=dtype, overwrite=overwrite)

    def _own_names(self) -> tuple[str, ...]:
        """Options of a call beside those of its signature."""
        video = ("video",) * ("init_video" in self.OPTIONS)
        return (*(name for name in self.OPTIONS if name != "seed"), *video)

    def _generated(
        self,
        prompt: str | Sequence[str],
        options: Mapping[str, Any],
        *,
        progress: bool,
        on_step: OnStep | None,
    ) -> Video | list[Video]:
        """Result of `generate`: one video for a text, a list for several."""
        check_names(options, self.OPTIONS, "generate")
        prompts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
        watch = self._watch(steps.reporting(on_step))
        videos = self._make(
            prompts, options, latents=False, progress=progress and self._shows_progress, watch=watch
        )
        return videos[0] if isinstance(prompt, str) else videos

    def _watch(self, call: Callable[[steps.Progress, int], Any] | None) -> Watch:
        """Watch of one call, which `interrupt` and `call` may end; see `steps.watching`."""
        self._interrupt = False
        return steps.watching(call, self._decoded, lambda: self._interrupt)

    def _output(
        self, made: list[Any], seeds: list[int], output_type: str, *, return_dict: bool
    ) -> Any:
        latents = output_type == "latent"
        frames = made if latents else [each.frames for each in made]
        shown = calling.as_output_type(frames, output_type)
        if not return_dict:
            return (shown,)
        return calling.Output(shown, [] if latents else made, seeds[: len(made)])

    def _make(
        self,
        prompts: tuple[str, ...],
        options: Mapping[str, Any],
        *,
        latents: bool,
        progress: bool,
        watch: Watch,
    ) -> list[Any]:
        """Videos of a request, or their latents (f, h, w, c)."""
        raise NotImplementedError

    def _decoded(self, latent: Any) -> list[np.ndarray]:
        """A picture (h, w, 3), uint8, of each row of latents (b, 1, h, w, c)."""
        raise NotImplementedError
