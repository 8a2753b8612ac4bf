# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoding of training samples by a system's models: states of captions, and latents of clips."""

import abc
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from mugv_jax.axes import Array, Bool, Float
from mugv_jax.systems.models import Models, Sizes
from mugv_jax.systems.tiles import Tiling


class SampleEncoder(Models[Sizes], abc.ABC):
    """Models that turn captions and clips into the fields of a training sample.

    TEXT_MODELS: fields of the models that read captions.
    SAMPLES_POSTERIOR: whether a latent can be a sample of the VAE's posterior, not only its mean.
    """

    TEXT_MODELS: ClassVar[tuple[str, ...]] = ("text",)
    SAMPLES_POSTERIOR: ClassVar[bool] = True

    @abc.abstractmethod
    def caption_states(
        self, captions: Sequence[str], *, batch_size: int
    ) -> Iterator[tuple[Float[Any, "s d"], Bool[Any, "s"]]]:
        """States of each caption as a sample holds them, and their mask, which is true on text.

        The captions are read in batches, for each of which the models are loaded unless they are
        held (`holding`).

        batch_size: captions that a model reads at once.
        """

    @abc.abstractmethod
    def latent(
        self, pixels: Float[Any, "1 f h w 3"], key: Array | None, *, tiling: Tiling | None
    ) -> Float[Any, "_f _h _w c"]:
        """Normalised latent of a clip of pixels in [-1, 1].

        key: samples the posterior; without it the mean is returned.
        """

    @contextlib.contextmanager
    def holding(self, *fields: str) -> Iterator[None]:
        """Context in which models stay loaded from one call to the next."""
        with contextlib.ExitStack() as stack:
            for field in fields:
                stack.enter_context(self.model(field))
            yield

    def encoder_sizes(self) -> Mapping[str, Any]:
        """Sizes of the models that a sample depends on, by their names in its settings."""
        names = {field: field for field in self.TEXT_MODELS} | {"text": "text_encoder"}
        fields = {"vae": "vae", **{field: names[field] for field in self.TEXT_MODELS}}
        return {
            name: dataclasses.asdict(getattr(self.config, field)) for field, name in fields.items()
        }
