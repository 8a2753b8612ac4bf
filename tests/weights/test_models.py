# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest

from mugv_jax.weights.check import check, identify, published_shapes, variable_shapes
from mugv_jax.weights.sources import Source, TensorSpec
from tests.weights.checkpoints import GOLDEN


class Listing(Source):
    """Source of names and shapes without values; reading a tensor fails."""

    format = "listing"

    def __init__(self, shapes):
        self.path = Path("manifest")
        self.specs = {n: TensorSpec(tuple(s), np.dtype(np.float32)) for n, s in shapes.items()}

    def read(self, name):
        raise AssertionError(name)


MANIFESTS = sorted(GOLDEN.parent.glob("*/manifest_*.json"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_every_full_size_name_maps_both_ways(manifest):
    case = json.loads(manifest.read_text())
    published = {name: tuple(shape) for name, shape in case["tensors"].items()}
    source = Listing(published)
    model, config = identify(source)
    assert model.kind == case["model"]
    assert config == model.config_from_published(case["config"])
    shapes = variable_shapes(model, config)
    assert published_shapes(model, config) == published
    parameters = check(source, model, config)
    used = {path: p.shape for path, p in parameters.items() if not path.startswith("unused/")}
    assert used == shapes


def test_a_t5_folder_follows_its_config_json_and_drops_the_decoder():
    case = json.loads((GOLDEN / "t5_tiny.json").read_text())
    foreign = {"lm_head.weight": (7, 3), "decoder.final_layer_norm.weight": (5,)}
    source = Listing(case["tensors"] | foreign)
    source.config = {"model_type": "t5", "relative_attention_max_distance": 64} | {
        key: value for key, value in case["config"].items() if "distance" not in key
    }
    model, config = identify(source)
    assert (model.kind, config.max_distance) == ("t5_encoder", 64)
    assert "params/blocks/mlp/up/kernel" in check(source, model, config)
    del source.config["d_kv"]
    with pytest.raises(ValueError, match=r"config\.json has no 'd_kv'"):
        identify(source)
