# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Base of objectives that sample videos from captions inside the training step.

    x_0 = N Euler steps from noise for the captions of a batch, decoded by the VAE

The VAE's variables are an input of the whole run. Noise is drawn for the whole batch from the
step's key, so a step is the same on any mesh and with any number of microbatches.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import einops
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mugv_jax.axes import Array, Bool, Float, Latent
from mugv_jax.bounds import require_at_least
from mugv_jax.data.caption_field import CaptionField
from mugv_jax.data.column_field import ColumnField
from mugv_jax.data.fields import Fields, NumberField, TextField
from mugv_jax.flow.denoiser import LatentShape
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import sample_times
from mugv_jax.train.decoding import VAE, Decoder
from mugv_jax.train.noising import NULL_TEXT, drop_captions
from mugv_jax.train.objective import Batch, Policies, constrain_batch
from mugv_jax.train.objectives.flow_matching import FlowMatching, shape_of
from mugv_jax.train.reference import REFERENCE


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Settings of sampling inside the step.

    vae: checkpoint of the VAE that decodes samples.
    frames: latent frames of a sampled clip: the first of the batch's; 0 takes all.
    decode: numbers of the decoded frames, from 0; () decodes all, (0,) the first frame only.
    steps: sampling steps.
    guidance: guidance scale; 1 is off.

    Raises:
        ValueError: values out of range.
    """

    vae: str = ""
    frames: int = 0
    decode: tuple[int, ...] = ()
    steps: int = 10
    guidance: float = 1.0

    def __post_init__(self):
        require_at_least(1, self, "steps")
        require_at_least(0, self, "frames")
        if any(frame < 0 for frame in self.decode) or len({*self.decode}) < len(self.decode):
            raise ValueError(
                f"decode={self.decode} must be numbers of frames from 0, each once; () is all."
            )
        Guidance(scale=self.guidance)


def require_weights(settings: Any, *fields: str) -> None:
    """Raise a ValueError for a field that is not a finite number from 0 up."""
    for field in fields:
        if not 0 <= getattr(settings, field) < math.inf:
            raise ValueError(f"{field}={getattr(settings, field)} must be a number from 0 up.")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sampling(FlowMatching):
    """Objective that samples with the network inside the step.

    decoder: the VAE.  further: fields of a sample that rewards or scores read.
    """

    decoder: Decoder
    further: Fields = ()

    @classmethod
    def further_fields(cls, settings: Any) -> Fields:
        """Fields of a sample besides those of flow matching."""
        del settings
        return ()

    @classmethod
    def fields(cls, config: Any) -> Fields:
        """Fields of flow matching, and those that rewards or scores read."""
        return (*super().fields(config), *cls.further_fields(config.objective))

    @classmethod
    def build(cls, config: Any, mesh: Mesh, **parts: Any) -> "Sampling":
        """The objective of a run on `mesh`; config: a `DiTTrainConfig`.

        Raises:
            ValueError: a network that the mesh cannot shard, or no VAE that fits it.
        """
        settings, dtype = config.objective, jnp.dtype(config.run.dtype)
        decoder = Decoder.of(settings.vae, config.vae, dtype, settings.decode)
        made, read = decoder.vae.config.latent_channels, config.dit.in_channels
        if made != read:
            raise ValueError(
                f"objective.vae={settings.vae!r} decodes latents of {made} channels, the network "
                f"makes {read}: name the VAE that it was trained with."
            )
        found = super().build(config, mesh, decoder=decoder, **parts)
        assert isinstance(found, cls)
        return found

    @property
    def roles(self) -> tuple[str, ...]:
        """The reference: the initial weights of the run."""
        return (REFERENCE,)

    def given(self, *, abstract: bool) -> dict[str, Any]:
        """The VAE's variables."""
        return {VAE: self.decoder.variables(abstract=abstract)}

    @property
    def guidance(self) -> Guidance:
        """Guidance of the samples."""
        return Guidance(scale=self.settings.guidance)

    def cut(self, batch: Batch) -> Batch:
        """The batch with the latent frames that are sampled."""
        frames = self.settings.frames or batch["latent"].shape[1]
        if frames > batch["latent"].shape[1]:
            raise ValueError(
                f"objective.frames={frames} latent frames, but the clips of a batch have "
                f"{batch['latent'].shape[1]}: choose fewer, or longer clips (data.shapes)."
            )
        return dict(batch, latent=batch["latent"][:, :frames])

    def options(self, policies: Policies, part: Mapping[str, Any]) -> dict[str, Any]:
        """Options of `integrate` for rows of a batch, whose "noise" is (b f h w c)."""
        noise = part["noise"]
        of_batch = {name: part[name] for name in ("text", "text_mask", "fps")} | {"latent": noise}
        negative = None
        if self.settings.guidance != 1:
            dropped = jnp.ones(noise.shape[:1], bool)
            text, mask = drop_captions(of_batch, dropped, policies[NULL_TEXT])
            negative = self.denoiser.condition(dict(of_batch, text=text, text_mask=mask))
        return {
            "times": sample_times(self.settings.steps, self.sample_shift(shape_of(noise))),
            "noisy": all_noisy(noise),
            "positive": self.denoiser.condition(of_batch),
            "negative": negative,
            "guidance": self.guidance,
        }

    def without_latents(self, batch: Batch) -> dict[str, Array]:
        """All of a batch but its latents."""
        return {name: x for name, x in batch.items() if name not in self.LATENTS}

    def abstract_batch(
        self, mesh: Mesh, latent_shape: LatentShape, rows: int
    ) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and shardings of a batch, with the further fields.

        Raises:
            ValueError: a further field whose size the config does not say.
        """
        found = super().abstract_batch(mesh, latent_shape, rows)
        place = found["fps"].sharding
        for field in self.further:
            if isinstance(field, NumberField):
                found[field.name] = jax.ShapeDtypeStruct((rows,), jnp.float32, sharding=place)
            elif isinstance(field, CaptionField | ColumnField):
                (key,), shape = field.keys, (rows, field.length)
                dtype = jnp.int32 if isinstance(field, CaptionField) else jnp.uint8
                found[key] = jax.ShapeDtypeStruct(shape, dtype, sharding=place)
            elif isinstance(field, TextField) and field.width:
                states = (rows, self.text_tokens, field.width)
                shaped = (states, jnp.float32), (states[:2], jnp.bool_)
                for name, (shape, dtype) in zip(field.keys, shaped, strict=True):
                    found[name] = jax.ShapeDtypeStruct(shape, dtype, sharding=place)
            else:
                raise ValueError(f"the size of {field} is not known before samples are read.")
        return found


def all_noisy(x: Latent) -> Bool[Array, "b f"]:
    """Mask of clips without given frames."""
    return jnp.ones(x.shape[:2], bool)


def row_mean_square(difference: Float[Array, "b ..."]) -> Float[Array, "b"]:
    """Mean of the squares of every row, in float32."""
    flat = einops.rearrange(difference.astype(jnp.float32), "b ... -> b (...)")
    return jnp.mean(jnp.square(flat), axis=1)


def sampling_noise(key: Array, shape: tuple[int, ...]) -> Latent:
    """Standard normal noise of a whole batch, sharded over the data shards."""
    return constrain_batch(jax.random.normal(key, shape))
