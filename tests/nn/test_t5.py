# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import re

import einops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from flax import traverse_util

from mugv_jax.nn.text.t5 import T5Config, T5Encoder, distance_buckets
from mugv_jax.weights.tables import t5 as names

FLOAT32_RELATIVE_L2 = 1e-5  # the bar of golden parity: float32, highest matmul precision
LIVE = {
    "vocab_size": 61,
    "d_model": 24,
    "d_kv": 10,
    "d_ff": 56,
    "num_layers": 3,
    "num_heads": 3,
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 20,
    "feed_forward_proj": "gated-gelu",
}


def variables_of(tensors: dict[str, np.ndarray], config: T5Config) -> dict:
    """Variables from published tensors, by the table."""
    table = names.table(config)
    flat = {}
    for rule in table.rules:
        parts = [tensors[name] for name in table.names(rule)]
        if rule.axes:
            used = set(re.findall(r"\w+", rule.axes))
            sizes = {axis: size for axis, size in table.sizes.items() if axis in used}
            parts = [einops.rearrange(part, rule.axes, **sizes) for part in parts]
        flat[tuple(rule.path.split("/"))] = np.stack(parts) if rule.stacked else parts[0]
    return traverse_util.unflatten_dict(flat)


def states(module: T5Encoder, variables: dict, ids: np.ndarray, mask: np.ndarray) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        return module.apply(
            jax.tree.map(jnp.asarray, variables), jnp.asarray(ids), jnp.asarray(mask)
        )


def relative_l2(ours, reference: np.ndarray, mask: np.ndarray) -> float:
    """Relative L2 error over the rows within the mask."""
    ours = np.asarray(ours, np.float32)[mask]
    return float(np.linalg.norm(ours - reference[mask]) / np.linalg.norm(reference[mask]))


@pytest.fixture(scope="module")
def live():
    """Seeded random `T5EncoderModel`, and our encoder with its weights."""
    torch.manual_seed(0)
    theirs = transformers.T5EncoderModel(transformers.T5Config(**LIVE)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():  # as initialised, attention would be uniform
            parameter.add_(0.3 * torch.randn_like(parameter))
    config = names.config_from_published(theirs.config.to_dict())
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    return theirs, T5Encoder(config, jnp.float32), variables_of(tensors, config)


@pytest.mark.parametrize("length", [1, 7, 45])
def test_transformers_gives_the_same_states(live, length):
    theirs, module, variables = live
    rng = np.random.default_rng(length)
    ids = rng.integers(0, LIVE["vocab_size"], (3, length), dtype=np.int32)
    mask = np.arange(length)[None, :] < np.array([[length], [(length + 1) // 2], [1]])
    with torch.no_grad():
        reference = theirs(torch.tensor(ids), torch.tensor(mask)).last_hidden_state.numpy()
    out = states(module, variables, ids, mask)
    assert relative_l2(out, reference, mask) <= FLOAT32_RELATIVE_L2


def test_padding_changes_no_state_of_the_text(live):
    _, module, variables = live
    ids = np.random.default_rng(0).integers(0, LIVE["vocab_size"], (1, 20), dtype=np.int32)
    mask = np.arange(20)[None, :] < 13
    short = states(module, variables, ids[:, :13], mask[:, :13])
    padded = states(module, variables, ids, mask)
    np.testing.assert_allclose(padded[:, :13], short, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (16, 20), (8, 500)])
def test_buckets_are_the_published_ones(num_buckets, max_distance):
    position = torch.arange(700)
    published = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket(
        position[None, :] - position[:, None],
        num_buckets=num_buckets,
        max_distance=max_distance,
    )
    np.testing.assert_array_equal(distance_buckets(700, num_buckets, max_distance), published)


def test_config_refuses_what_the_bias_cannot_hold():
    sizes = {"vocab_size": 8, "width": 8, "head_dim": 4, "mlp_dim": 8, "depth": 1, "num_heads": 2}
    with pytest.raises(ValueError, match="num_buckets=30 must be a multiple of 4"):
        T5Config(**sizes, num_buckets=30)
    with pytest.raises(ValueError, match="depth=0 must be at least 1"):
        T5Config(**{**sizes, "depth": 0})
