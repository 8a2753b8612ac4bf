# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import math
from pathlib import Path

import einops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from mugv_jax.axes import LOGICAL_AXES
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.tables import mugv_vae

GOLDEN = Path(__file__).parents[1] / "golden" / "mugv"
FULL_PARAMETERS = 411_752_948  # all values in `vae.pt`


def read(name: str) -> tuple[VAEConfig, dict[str, tuple[int, ...]]]:
    case = json.loads((GOLDEN / f"{name}.json").read_text())
    shapes = {tensor: tuple(shape) for tensor, shape in case["tensors"].items()}
    return mugv_vae.config_from_published(case["config"]), shapes


def test_the_config_of_a_narrow_vae_is_inferred_from_shapes():
    config = VAEConfig(
        spatial_channels=(4, 8),
        spatial_layers=1,
        temporal_filters=4,
        temporal_multipliers=(1, 2),
        temporal_layers=1,
        latent_channels=3,
    )
    shapes = published_shapes(MODELS["mugv_vae"], config)
    assert mugv_vae.infer_config(shapes) == config


def rearranged(shape: tuple[int, ...], axes: str) -> tuple[int, ...]:
    """Shape after `axes`, without allocating the array."""
    return einops.rearrange(np.broadcast_to(np.float32(0), shape), axes).shape if axes else shape


@pytest.mark.parametrize("name", ["manifest_mugv_vae", "vae_tiny"])
def test_every_name_and_shape_maps_both_ways(name):
    config, shapes = read(name)
    table = mugv_vae.table(config)
    names = [rule.name for rule in table.rules]
    assert len(names) == len(set(names))
    assert set(names).isdisjoint(table.unused)
    assert {*names, *table.unused} == set(shapes)
    assert all(shapes[unread] == shape for unread, shape in table.unused.items())

    pixels = jnp.zeros((1, 8, 8, 8, 3))
    init = VideoVAE(config, jnp.bfloat16).init
    variables = jax.eval_shape(init, jax.random.key(0), pixels)
    leaves = traverse_util.flatten_dict(variables, sep="/")
    assert {rule.path for rule in table.rules} == set(leaves)
    for rule in table.rules:
        leaf = leaves[rule.path]
        shape = getattr(leaf, "value", leaf).shape
        assert rearranged(shapes[rule.name], rule.axes) == shape, rule
        if rule.axes:
            back = " -> ".join(reversed(rule.axes.split(" -> ")))
            assert rearranged(shape, back) == shapes[rule.name], rule
        if rule.path.startswith("params/"):
            assert len(leaf.names) == len(shape), rule
            assert {*leaf.names} <= {*LOGICAL_AXES, None}, rule


def test_the_defaults_are_the_published_sizes():
    config, shapes = read("manifest_mugv_vae")
    assert config == VAEConfig()
    assert len(shapes) == 522
    assert sum(map(math.prod, shapes.values())) == FULL_PARAMETERS


@pytest.mark.parametrize("name", ["manifest_mugv_vae", "vae_tiny"])
def test_the_config_is_inferred_from_shapes(name):
    config, shapes = read(name)
    assert mugv_vae.infer_config(shapes) == config


@pytest.mark.parametrize(
    "missing", ["temporal_vae.post_quant_conv.conv.weight", "temporal_vae.encoder", "spatial_vae"]
)
def test_files_of_other_models_are_refused(missing):
    _, shapes = read("vae_tiny")
    left = {name: shape for name, shape in shapes.items() if not name.startswith(missing)}
    with pytest.raises(ValueError, match=f"not a video VAE checkpoint: it has no .*{missing}"):
        mugv_vae.infer_config(left)


def test_halves_that_do_not_fit_together_are_refused():
    case = json.loads((GOLDEN / "vae_tiny.json").read_text())["config"]
    case["temporal"]["io"] = 32
    with pytest.raises(ValueError, match="temporal io=32 must be 64"):
        mugv_vae.config_from_published(case)
