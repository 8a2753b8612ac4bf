# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import pytest
import torch
import transformers
from flax import traverse_util

from mugv_jax.axes import LOGICAL_AXES
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.weights.tables import t5 as names

XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
XXL_PARAMETERS = 4_762_310_656  # as counted by transformers, the tied embedding once
TINY = {**XXL, "vocab_size": 16, "d_model": 8, "d_kv": 6, "d_ff": 12, "num_layers": 2} | {
    "num_heads": 2
}


def published_shapes(model_class: type, sizes: dict) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = model_class(transformers.T5Config(**sizes))
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def flat_params(config) -> dict[str, jax.ShapeDtypeStruct]:
    module = T5Encoder(config, jnp.bfloat16)
    inputs = jnp.zeros((1, 4), jnp.int32), jnp.ones((1, 4), bool)
    variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    return traverse_util.flatten_dict(variables, sep="/")


def test_every_name_of_xxl_maps_both_ways():
    shapes = published_shapes(transformers.T5EncoderModel, XXL)
    config = names.config_from_published(XXL)
    assert names.infer_config(shapes) == config
    table = names.table(config)
    assert {name for rule in table.rules for name in table.names(rule)} == (
        set(shapes) - set(table.optional)
    )
    assert all(shapes[name] == shape for name, shape in table.optional.items())

    params = flat_params(config)
    assert set(params) == {rule.path for rule in table.rules}
    assert sum(leaf.value.size for leaf in params.values()) == XXL_PARAMETERS
    for rule in table.rules:
        leaf, copies = params[rule.path], len(table.names(rule))
        assert leaf.value.size == copies * torch.Size(shapes[table.names(rule)[0]]).numel(), rule
        assert len(leaf.names) == leaf.value.ndim
        assert set(leaf.names) <= {*LOGICAL_AXES, None}
        assert (leaf.names[0] == "layers") == rule.stacked


def test_the_decoder_half_of_a_full_file_is_foreign():
    full = published_shapes(transformers.T5ForConditionalGeneration, TINY)
    table = names.table(names.infer_config(full))
    known = {name for rule in table.rules for name in table.names(rule)} | set(table.optional)
    assert {name for name in full if not names.is_foreign(name)} == known


def test_other_variants_of_t5_are_refused():
    with pytest.raises(ValueError, match="feed_forward_proj='relu'"):
        names.config_from_published({**TINY, "feed_forward_proj": "relu"})
    with pytest.raises(ValueError, match=r"not a T5 v1\.1 encoder checkpoint"):
        names.infer_config(
            published_shapes(transformers.T5EncoderModel, {**TINY, "feed_forward_proj": "relu"})
        )
