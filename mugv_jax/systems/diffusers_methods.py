# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Methods that scripts written for diffusers call between loading a pipeline and calling it.

Each does here what its name promises, or says in one line why there is nothing to do.
"""

import logging
import os
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.files import user_path
from mugv_jax.systems.frames import FALLBACK_TILING
from mugv_jax.systems.pretrained import local_folder
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.adapters import listed

log = logging.getLogger(__name__)

PLATFORMS = {"cuda": "gpu", "rocm": "gpu"}  # names of PyTorch -> names of jax
FLOATS = ("bfloat16", "float32", "float16")


def dtype_named(dtype: Any) -> DTypeLike:
    """Dtype of jax from one of jax, numpy or PyTorch, or a name; float16 becomes bfloat16.

    Raises:
        ValueError: no floating type that models compute in.
    """
    name = str(dtype).removeprefix("torch.") if "torch" in str(dtype) else jnp.dtype(dtype).name
    if name not in FLOATS:
        raise ValueError(f"dtype {name!r} must be bfloat16 or float32.")
    if name == "float16":
        log.info("float16 has too small a range for these models: bfloat16 is used.")
        name = "bfloat16"
    return jnp.dtype(name)


class DiffusersMethods:
    """Methods of `diffusers.DiffusionPipeline` for the pipelines of all systems.

    models, tiling: see `systems.pipeline.Pipeline`.
    """

    models: Any
    tiling: Tiling | None
    _shows_progress: bool = True
    _interrupt: bool = False

    @property
    def interrupt(self) -> bool:
        """Set it to True, in a callback or another thread, to end the call after the present step.

        The videos are then decoded from the estimate that is reached.
        """
        return self._interrupt

    @interrupt.setter
    def interrupt(self, value: bool) -> None:
        self._interrupt = value

    @property
    def device(self) -> jax.Device:
        """The first device of the mesh."""
        return self.models.mesh.devices.flat[0]

    @property
    def dtype(self) -> DTypeLike:
        """Type of weights and arithmetic."""
        return self.models.dtype

    @property
    def vae_scale_factor_spatial(self) -> int:
        """Pixels of one latent along each side."""
        return self.models.system.size.SPATIAL

    @property
    def vae_scale_factor_temporal(self) -> int:
        """Frames of one latent."""
        return self.models.system.size.TEMPORAL

    @property
    def transformer(self) -> Any:
        """An object whose `config` has the transformer's sizes, `patch_size` among them."""
        config = self.models.config.dit
        sizes = {**vars(config), "patch_size": tuple(config.patch)}
        return types.SimpleNamespace(config=types.SimpleNamespace(**sizes))

    @property
    def vae(self) -> Any:
        """An object with the methods `enable_tiling` and so on of the VAE."""
        return types.SimpleNamespace(
            config=self.models.config.vae,
            enable_tiling=self.enable_vae_tiling,
            disable_tiling=self.disable_vae_tiling,
            enable_slicing=self.enable_vae_slicing,
            disable_slicing=self.disable_vae_slicing,
        )

    @property
    def scheduler(self) -> Any:
        """An object whose `config` describes the sampling; assign one to change its shift."""
        shift = getattr(self, "_shift", None)
        config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
        return types.SimpleNamespace(config=config if shift is None else {**config, "shift": shift})

    @scheduler.setter
    def scheduler(self, scheduler: Any) -> None:
        config = getattr(scheduler, "config", {})
        shift = config.get("flow_shift", config.get("shift"))
        self._shift = None if shift is None else float(shift)
        taken = "and its time steps as usual" if shift is None else f"with its shift of {shift:g}"
        log.info("%s: samples by Euler's method here, %s.", type(scheduler).__name__, taken)

    def to(self, *places: Any, **options: Any) -> Any:
        """Keeps the models on the device from now on; a dtype among the arguments is taken over.

        jax chooses the device: JAX_PLATFORMS and the argument `mesh` of `from_pretrained` say
        which. `to("cpu")` on an accelerator frees its memory instead.
        """
        platform = self.device.platform
        for place in (*places, *options.values()):
            if "float" in str(place):
                self._change_dtype(dtype_named(place))
                continue
            name = str(place).partition(":")[0]
            wanted = PLATFORMS.get(name, name)
            if wanted == "cpu" != platform:
                return self.enable_model_cpu_offload()
            if wanted != platform:
                log.warning("to(%r): jax computes on %s in this process.", str(place), platform)
        self.models.keep_loaded = True
        return self

    def _change_dtype(self, dtype: DTypeLike) -> None:
        if jnp.dtype(dtype) != jnp.dtype(self.models.dtype):
            self.models.release()
            self.models.dtype = dtype

    def enable_model_cpu_offload(self, *_: Any, **__: Any) -> Any:
        """Loads each model when it is needed and frees it afterwards, which is the default."""
        self.models.keep_loaded = False
        self.models.release()
        return self

    def enable_sequential_cpu_offload(self, *_: Any, **__: Any) -> Any:
        """As `enable_model_cpu_offload`, and the transformer's layers stay in the host's memory."""
        self.models.offload = True
        return self.enable_model_cpu_offload()

    def maybe_free_model_hooks(self) -> None:
        """Frees the models that are kept; they are read again when needed."""
        self.models.release()

    def enable_vae_tiling(self, tile_px: int | None = None, **_: Any) -> None:
        """Decodes in tiles of `tile_px` pixels, by default 512: less memory, the same result."""
        stride = self.vae_scale_factor_spatial
        rows = FALLBACK_TILING.rows if tile_px is None else tile_px // stride
        self.tiling = Tiling(rows=rows, columns=rows)

    def disable_vae_tiling(self) -> None:
        """Decodes whole frames."""
        self.tiling = None

    def enable_vae_slicing(self) -> None:
        """Nothing: videos are decoded one at a time anyway, unless `rows` asks for more."""

    disable_vae_slicing = enable_vae_slicing

    def enable_attention_slicing(self, *_: Any, **__: Any) -> None:
        """Nothing but a note: no attention here holds all scores of a long video."""
        log.info("attention is never materialised for long videos: there is nothing to slice.")

    enable_xformers_memory_efficient_attention = enable_attention_slicing
    disable_attention_slicing = enable_attention_slicing

    def set_progress_bar_config(self, *, disable: bool = False, **_: Any) -> None:
        """Shows the progress bars of calls, or not."""
        self._shows_progress = not disable

    def load_lora_weights(
        self,
        path: str | os.PathLike,
        *,
        weight_name: str | None = None,
        adapter_name: str | None = None,
        **_: Any,
    ) -> None:
        """Merges a further adapter into the transformer when that is loaded next.

        path: a file, a folder, a training run, or a repository with the file `weight_name`.

        Raises:
            ValueError: an adapter that cannot be found or does not fit, or random weights.
        """
        if not user_path(path).exists():
            path = local_folder(path, (weight_name or "*.safetensors",))
        if weight_name is not None and Path(path).is_dir():
            path = Path(path) / weight_name
        adapters = self._named_adapters()
        name = adapter_name or f"default_{len(adapters)}"
        self._set_adapters({**adapters, name: (user_path(path), 1.0)})

    def set_adapters(
        self, names: str | Sequence[str], adapter_weights: float | Sequence[float] | None = None
    ) -> None:
        """Uses the adapters `names`, each with its factor; the others are switched off.

        Raises:
            ValueError: an unknown name, or another number of factors than of names.
        """
        adapters = self._named_adapters()
        names = [names] if isinstance(names, str) else list(names)
        given = 1.0 if adapter_weights is None else adapter_weights
        scales = [given] * len(names) if isinstance(given, int | float) else list(given)
        if len(scales) != len(names):
            raise ValueError(f"adapter_weights has {len(scales)} entries for {len(names)} names.")
        for name in names:
            if name not in adapters:
                known = ", ".join(adapters) or "none"
                raise ValueError(f"adapter {name!r} is not loaded; loaded are: {known}.")
        chosen = dict(zip(names, map(float, scales)))
        scaled = {name: (path, chosen.get(name, 0.0)) for name, (path, _) in adapters.items()}
        self._set_adapters(scaled)

    def unload_lora_weights(self) -> None:
        """Leaves all adapters out when the transformer is loaded next."""
        self._set_adapters({})

    def fuse_lora(self, *_: Any, **__: Any) -> None:
        """Nothing: adapters are merged into the weights as these are read."""

    unfuse_lora = fuse_lora

    def _named_adapters(self) -> dict[str, tuple[Path, float]]:
        loaded = getattr(self, "_adapters", None)
        if loaded is None:  # those of `from_pretrained`
            pairs = listed(self.models.arguments.get("lora"))
            loaded = {f"default_{i}": pair for i, pair in enumerate(pairs)}
        return loaded

    def _set_adapters(self, adapters: dict[str, tuple[Path, float]]) -> None:
        pairs = [pair for pair in adapters.values() if pair[1]]
        models = self.models.with_adapters(pairs)
        self.models.release()
        self.models, self._adapters = models, adapters
