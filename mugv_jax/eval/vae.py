# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""VAEs of all systems: found in files or made at random, and clips through them.

The kind of a VAE is told by its weights. Encoding takes the posterior's mean; both directions run
in the windows of generation, whose memory does not grow with the clip.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.files import user_path
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.wan.vae import WanVAE
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.systems import wan_windows
from mugv_jax.systems.frames import Videos, whole_or_tiled
from mugv_jax.systems.mugv.clips import decode_frames, encode_clips
from mugv_jax.systems.pretrained import first_of, local_folder
from mugv_jax.systems.system import SystemConfig, every
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.digests import weights_digest
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import MODELS, abstract_variables

FIELD = "vae"  # of a system
Reconstruct = Callable[[Frames], Frames]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vae:
    """A VAE that can be loaded.

    label: its name in tables.
    kind, config: of the registry of weights.
    path: of its file or folder; None for random weights.
    """

    label: str
    kind: str
    config: Any
    path: Path | None = None

    @classmethod
    def find(cls, weights: str | os.PathLike, label: str | None = None) -> "Vae":
        """The VAE at a path: a checkpoint, a training run, or a system's folder or repository.

        Raises:
            ValueError: no VAE there.
        """
        path = _path_of(weights)
        kind, config = read_config(path)
        if kind not in _kinds():
            raise ValueError(f"{path}: holds {kind}, not {' or '.join(_kinds())}.")
        return cls(label=label or user_path(weights).name, kind=kind, config=config, path=path)

    @classmethod
    def random(cls, config: SystemConfig, label: str) -> "Vae":
        """The VAE of a system's sizes with random weights."""
        kind = config.kinds_of(FIELD)[0]
        return cls(label=label, kind=kind, config=getattr(config, FIELD))

    def identity(self) -> dict[str, Any]:
        """What a reconstruction depends on, besides the clip."""
        return {
            "kind": self.kind,
            "sizes": dataclasses.asdict(self.config),
            "digest": "random" if self.path is None else weights_digest(self.path),
        }

    @contextlib.contextmanager
    def loaded(
        self, mesh: Mesh, dtype: DTypeLike, tiling: Tiling | None = None
    ) -> Iterator[Reconstruct]:
        """The function from a clip (f h w 3) to its reconstruction, while the context is open.

        tiling: works on tiles where whole frames do not fit in memory; None turns to them by
            itself when decoding runs out of memory.
        """
        abstract = abstract_variables(self.kind, self.config)
        shardings = variable_shardings(abstract, mesh)
        if self.path is None:
            variables = random_variables(abstract, 0, shardings=shardings, dtype=dtype)
        else:
            variables = load(self.path, self.kind, shardings=shardings, dtype=dtype)[1]
        module = MODELS[self.kind].build(self.config, dtype)
        through = THROUGH[type(module)]
        chosen = [tiling]

        def reconstruct(frames: Frames) -> Frames:
            def tiled(tiles: Tiling | None) -> Videos:
                return through(module, variables, frames[None], tiles)

            with meshes.use(mesh):
                made, chosen[0] = whole_or_tiled(tiled, chosen[0])
            return made[0]

        try:
            yield reconstruct
        finally:
            for leaf in jax.tree.leaves(variables):
                leaf.delete()


def _mugv(vae: VideoVAE, variables: Any, videos: Videos, tiling: Tiling | None) -> Videos:
    latents = encode_clips(vae, variables, list(videos), rows=len(videos), tiling=tiling)
    image = videos.shape[1] % vae.config.time_factor == 1
    parts = decode_frames(vae, variables, np.stack(latents), starts_with_image=image, tiling=tiling)
    return np.concatenate(list(parts), axis=1)


def _wan(vae: WanVAE, variables: Any, videos: Videos, tiling: Tiling | None) -> Videos:
    latent = wan_windows.encode(vae, variables, video.to_pixels(videos), tiling=tiling)
    parts = wan_windows.decode_in_steps(vae, variables, latent, tiling=tiling)
    return np.concatenate([video.to_frames(part) for part in parts], axis=1)


# Module -> (vae, variables, videos, tiling) -> reconstructions.
THROUGH: Mapping[type, Callable[..., Videos]] = {VideoVAE: _mugv, WanVAE: _wan}


def _kinds() -> tuple[str, ...]:
    """Kinds of VAEs of all systems."""
    kinds = (kind for system in every() for kind in system.config.KINDS.get(FIELD, ()))
    return tuple(dict.fromkeys(kinds))


def _path_of(weights: str | os.PathLike) -> Path:
    """Path of the VAE in a folder of weights, or of the weights themselves."""
    names = dict.fromkeys(name for system in every() for name in system.files.get(FIELD, ()))
    path = user_path(weights)
    folder = path if path.exists() else local_folder(weights, tuple(names))
    if folder.is_file():
        return folder
    return first_of(folder, tuple(names)) or folder
