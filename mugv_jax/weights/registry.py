# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Registry of the models whose weights can be read: sizes, module and table of each."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.nn.mmdit.model import MMDiT, MMDiTConfig
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.text.clip import ClipTextConfig, ClipTextEncoder
from mugv_jax.nn.text.t5 import T5Config, T5Encoder
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.nn.vae.tiny import TinyDecoder, TinyDecoderConfig
from mugv_jax.nn.vision.clip import ClipImageEncoder, ClipVisionConfig
from mugv_jax.nn.wan.dit import WanDiT, WanDiTConfig
from mugv_jax.nn.wan.enhancer import EnhancerDiT
from mugv_jax.nn.wan.vae import WanVAE, WanVAEConfig
from mugv_jax.weights.table import Shapes, Spelling, Table
from mugv_jax.weights.tables import (
    clip,
    clip_vision,
    mmdit,
    mugv_dit,
    mugv_tiny_decoder,
    mugv_vae,
    t5,
    umt5,
    wan_dit,
    wan_vae,
)

Inputs = dict[str, jax.ShapeDtypeStruct]


@dataclasses.dataclass(frozen=True)
class Model:
    """Functions and names by which generic code handles one model.

    build: class of the module: (config, dtype) -> module.
    inputs: config -> abstract arguments of `module.init`.
    infer_config: shapes of a published checkpoint -> config; a ValueError names the tensors that
        determine the sizes, if any are missing.
    config_from_published: constructor arguments of the published class -> config.
    is_foreign: name -> whether the tensor is another model's in the same file; it is not read.
    published_factors: config -> factors by tensor name, which a published file needs because it
        does not state all of the config.
    described_as: entries of `config.json` that identify the model, if it has such a file.
    own_entries: content of the `config.json` of a larger model -> that of this one.
    published_config: config -> content of that file.
    example: config of a small model; its table has all names that a model of the kind can have.
    in_order: whether the table lists tensors in the order of the published class's parameters.
    spellings: other names of linear layers in adapters.
    twins: optional tensor -> the tensor that it must equal, and that it stands for if alone.
    """

    kind: str
    config_class: type
    build: type[Any]
    inputs: Callable[[Any], Inputs]
    table: Callable[[Any], Table]
    infer_config: Callable[[Shapes], Any]
    config_from_published: Callable[[Mapping], Any]
    is_foreign: Callable[[str], bool] = lambda _name: False
    published_factors: Callable[[Any], Mapping[str, float]] = lambda _config: {}
    described_as: Mapping[str, str] = dataclasses.field(default_factory=dict)
    own_entries: Callable[[Mapping], Mapping] = lambda stated: stated
    published_config: Callable[[Any], Mapping[str, Any]] | None = None
    example: Any = None
    in_order: bool = False
    spellings: Sequence[Spelling] = ()
    twins: Mapping[str, str] = dataclasses.field(default_factory=dict)


def _arrays(dtype: DTypeLike = jnp.float32, **shapes: tuple[int, ...]) -> Inputs:
    return {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in shapes.items()}


def _denoiser_inputs(config: DiTConfig | MMDiTConfig | WanDiTConfig) -> Inputs:
    latent = (1, 1, *config.patch[1:], config.in_channels)
    return _arrays(x=latent, t=(1,), text=(1, 1, config.text_dim))


def _mugv_dit_inputs(config: DiTConfig) -> Inputs:
    more = _arrays(jnp.bool_, text_mask=(1, 1)) | _arrays(jnp.int32, frame_index=(1, 3))
    return _denoiser_inputs(config) | _arrays(t=(1, 1), fps=(1,)) | more


def _mmdit_inputs(config: MMDiTConfig) -> Inputs:
    return _denoiser_inputs(config) | _arrays(pooled=(1, config.pooled_dim))


def _vae_inputs(config: VAEConfig) -> Inputs:
    return _arrays(pixels=(1, config.time_factor, config.spatial_factor, config.spatial_factor, 3))


def _tiny_decoder_inputs(config: TinyDecoderConfig) -> Inputs:
    return _arrays(latent=(1, 1, 1, 1, config.latent_channels))


def _wan_vae_inputs(config: WanVAEConfig) -> Inputs:
    frames, side = config.time_factor + 1, config.spatial_factor  # the least with two latents
    return _arrays(pixels=(1, frames, side, side, 3))


def _clip_inputs(_: ClipTextConfig) -> Inputs:
    return _arrays(jnp.int32, ids=(1, 4))


def _clip_vision_inputs(config: ClipVisionConfig) -> Inputs:
    return _arrays(pixels=(1, config.side_px, config.side_px, 3))


def _t5_inputs(_: T5Config) -> Inputs:
    return _arrays(jnp.int32, ids=(1, 4)) | _arrays(jnp.bool_, mask=(1, 4))


_SMALL_T5 = T5Config(vocab_size=8, width=8, head_dim=4, mlp_dim=8, depth=2, num_heads=2)
_SMALL_UMT5 = dataclasses.replace(_SMALL_T5, shared_bias=False)
_SMALL_CLIP = ClipTextConfig(
    vocab_size=8, width=8, mlp_dim=8, depth=2, num_heads=2, features=8, end=7
)
_SMALL_CLIP_VISION = ClipVisionConfig(
    width=8, mlp_dim=8, depth=2, num_heads=2, features=8, patch_px=4, side_px=8
)

MODELS = {
    model.kind: model
    for model in (
        Model(
            kind="mugv_dit",
            config_class=DiTConfig,
            build=MugDiT,
            inputs=_mugv_dit_inputs,
            table=mugv_dit.table,
            infer_config=mugv_dit.infer_config,
            config_from_published=mugv_dit.config_from_published,
            example=DiTConfig(depth=2, width=144, num_heads=2),
            in_order=True,
            spellings=mugv_dit.SPELLINGS,
            published_config=mugv_dit.published_config,
        ),
        Model(
            kind="mugv_vae",
            config_class=VAEConfig,
            build=VideoVAE,
            inputs=_vae_inputs,
            table=mugv_vae.table,
            infer_config=mugv_vae.infer_config,
            config_from_published=mugv_vae.config_from_published,
            example=VAEConfig(),
            published_factors=mugv_vae.published_factors,
            published_config=mugv_vae.published_config,
        ),
        Model(
            kind="mugv_tiny_decoder",
            config_class=TinyDecoderConfig,
            build=TinyDecoder,
            inputs=_tiny_decoder_inputs,
            table=mugv_tiny_decoder.table,
            infer_config=mugv_tiny_decoder.infer_config,
            config_from_published=mugv_tiny_decoder.config_from_published,
            example=TinyDecoderConfig(),
            described_as={"_class_name": mugv_tiny_decoder.CLASS},
            published_config=mugv_tiny_decoder.published_config,
        ),
        Model(
            kind="contentv_dit",
            config_class=MMDiTConfig,
            build=MMDiT,
            inputs=_mmdit_inputs,
            table=mmdit.table,
            infer_config=mmdit.infer_config,
            config_from_published=mmdit.config_from_published,
            example=MMDiTConfig(),
            in_order=True,
            spellings=mmdit.SPELLINGS,
            described_as={"_class_name": mmdit.CLASS},
            published_config=mmdit.published_config,
        ),
        Model(
            kind="wan_dit",
            config_class=WanDiTConfig,
            build=WanDiT,
            inputs=_denoiser_inputs,
            table=wan_dit.table,
            infer_config=wan_dit.infer_config,
            config_from_published=wan_dit.config_from_published,
            example=WanDiTConfig(),
            in_order=True,
            spellings=wan_dit.SPELLINGS,
            described_as={"_class_name": wan_dit.PUBLISHED_CLASS},
        ),
        Model(
            kind="wan_dit_diffusers",
            config_class=WanDiTConfig,
            build=WanDiT,
            inputs=_denoiser_inputs,
            table=functools.partial(wan_dit.table, diffusers=True),
            infer_config=functools.partial(wan_dit.infer_config, diffusers=True),
            config_from_published=wan_dit.config_from_diffusers,
            example=WanDiTConfig(),
            spellings=wan_dit.DIFFUSERS_SPELLINGS,
            described_as={"_class_name": wan_dit.CLASS},
            published_config=wan_dit.published_config,
        ),
        Model(
            kind="wan_enhancer_dit",
            config_class=WanDiTConfig,
            build=EnhancerDiT,
            inputs=_denoiser_inputs,
            table=functools.partial(wan_dit.table, clean=True),
            infer_config=functools.partial(wan_dit.infer_config, clean=True),
            config_from_published=wan_dit.config_from_published,
            example=WanDiTConfig(),
            in_order=True,
            spellings=wan_dit.SPELLINGS,
        ),
        Model(
            kind="wan_vae",
            config_class=WanVAEConfig,
            build=WanVAE,
            inputs=_wan_vae_inputs,
            table=wan_vae.table,
            infer_config=wan_vae.infer_config,
            config_from_published=wan_vae.config_from_published,
            example=WanVAEConfig(),
        ),
        Model(
            kind="wan_vae_diffusers",
            config_class=WanVAEConfig,
            build=WanVAE,
            inputs=_wan_vae_inputs,
            table=functools.partial(wan_vae.table, names=wan_vae.DIFFUSERS),
            infer_config=functools.partial(wan_vae.infer_config, names=wan_vae.DIFFUSERS),
            config_from_published=wan_vae.config_from_published,
            example=WanVAEConfig(),
            described_as={"_class_name": wan_vae.CLASS},
            published_config=wan_vae.published_config,
        ),
        Model(
            kind="t5_encoder",
            config_class=T5Config,
            build=T5Encoder,
            inputs=_t5_inputs,
            table=t5.table,
            infer_config=t5.infer_config,
            config_from_published=t5.config_from_published,
            example=_SMALL_T5,
            twins=t5.TWINS,
            is_foreign=t5.is_foreign,
            described_as={"model_type": t5.TYPE},
            published_config=t5.published_config,
        ),
        Model(
            kind="clip_text",
            config_class=ClipTextConfig,
            build=ClipTextEncoder,
            inputs=_clip_inputs,
            table=clip.table,
            infer_config=clip.infer_config,
            config_from_published=clip.config_from_published,
            example=_SMALL_CLIP,
            is_foreign=clip.is_foreign,
            described_as={"model_type": clip.TYPE},
            own_entries=clip.own_entries,
            published_config=clip.published_config,
        ),
        Model(
            kind="clip_vision",
            config_class=ClipVisionConfig,
            build=ClipImageEncoder,
            inputs=_clip_vision_inputs,
            table=clip_vision.table,
            infer_config=clip_vision.infer_config,
            config_from_published=clip_vision.config_from_published,
            example=_SMALL_CLIP_VISION,
            is_foreign=clip_vision.is_foreign,
            described_as={"model_type": clip_vision.TYPE},
            own_entries=clip_vision.own_entries,
            published_config=clip_vision.published_config,
        ),
        Model(
            kind="umt5_encoder",
            config_class=T5Config,
            build=T5Encoder,
            inputs=_t5_inputs,
            table=umt5.table,
            infer_config=umt5.infer_config,
            config_from_published=umt5.config_from_published,
            example=_SMALL_UMT5,
        ),
        Model(
            kind="umt5_encoder_transformers",
            config_class=T5Config,
            build=T5Encoder,
            inputs=_t5_inputs,
            table=umt5.transformers_table,
            infer_config=umt5.infer_transformers_config,
            config_from_published=umt5.config_from_transformers,
            example=_SMALL_UMT5,
            twins=t5.TWINS,
            is_foreign=t5.is_foreign,
            described_as={"model_type": umt5.TYPE},
            published_config=umt5.published_config,
        ),
    )
}


@functools.cache  # tracing the whole model takes seconds, and every reader of weights asks again
def abstract_variables(kind: str, config: Any) -> Any:
    """Variables of a model: float32 `ShapeDtypeStruct`s, boxed with their logical axis names."""
    model = MODELS[kind]
    module = model.build(config, jnp.float32)
    return jax.eval_shape(module.init, jax.random.key(0), **model.inputs(config))
