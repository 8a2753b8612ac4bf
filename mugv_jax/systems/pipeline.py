# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What the pipelines of all systems share: models, tiles of the VAE, and a cache of texts."""

from typing import Any, ClassVar, Generic, TypeVar, Unpack

from mugv_jax.systems.models import Models, Options, Sizes
from mugv_jax.systems.text import TextCache
from mugv_jax.systems.tiles import Tiling

Own = TypeVar("Own", bound="Pipeline")  # the system's class of pipelines
OwnModels = TypeVar("OwnModels", bound=Models)


class Pipeline(Generic[OwnModels, Sizes]):
    """Pipeline of one system. Make one with `from_pretrained` or `random`.

    tiling: the VAE works on tiles of this size, for frames too large for memory; None
        works on whole frames and, in systems that generate, falls back to tiles where decoding
        them does not fit.
    """

    MODELS: ClassVar[Any]  # the system's class of models

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
        **options: Unpack[Options],
    ) -> Own:
        """Pipeline with seeded random weights: everything runs, but the videos are noise.

        options: see `systems.models.Options`.
        """
        return cls(cls.MODELS.random(config, seed=seed, **options), tiling=tiling)
