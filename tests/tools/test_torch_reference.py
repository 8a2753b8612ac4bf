# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The PyTorch reference computes what the published PyTorch code computed."""

import json
import pathlib

import numpy as np
import pytest
import torch
import transformers

from mugv_jax.golden import recipe
from tools import torch_reference

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "mugv"
# The published code itself is 1e-6 to 3e-6 from a float64 evaluation.
TOLERANCE = 1e-5


def case(name: str) -> tuple[dict, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Constructor arguments, weights and arrays of a golden case."""
    description = json.loads((GOLDEN / f"{name}.json").read_text())
    weights = {
        key: torch.from_numpy(np.asarray(recipe(key, tuple(shape))))
        for key, shape in description["tensors"].items()
    }
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return description["config"], weights, {k: torch.from_numpy(arrays[k]) for k in arrays}


def error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    assert actual.shape == expected.shape
    return ((actual - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("name", ["mugdit_tiny", "mugdit_odd"])
def test_mugdit_matches_the_published_code(name):
    config, weights, arrays = case(name)
    assert config.pop("qk_norm")
    model = torch_reference.MUGDiT(**config)
    model.load_state_dict(weights)
    residual = {}
    for key, index in (("block0", 0), ("block_last", -1)):
        model.blocks[index].register_forward_hook(
            # The next block adds to its input in place, so the stream is copied.
            lambda _module, _args, out, key=key: residual.update({key: out.clone()})
        )
    expected = {key: arrays.pop(key) for key in ("out", "block0", "block_last")}
    with torch.no_grad():
        actual = model(**arrays)
    assert error(actual, expected["out"]) < TOLERANCE
    assert error(residual["block0"], expected["block0"]) < TOLERANCE
    assert error(residual["block_last"], expected["block_last"]) < TOLERANCE


def test_video_vae_matches_the_published_code():
    config, weights, arrays = case("vae_tiny")
    vae = torch_reference.VideoVAE(**config)
    vae.load_state_dict(weights)
    with torch.no_grad():
        features = vae.spatial_features(arrays["x"])
        mean, log_variance = vae.posterior(arrays["spatial_features"])
        frames = arrays["decoded"].shape[2]
        actual = {
            "spatial_features": features,
            "posterior_mean": mean,
            "posterior_logvar": log_variance,
            "latent": vae.encode(arrays["x"]),
            "decoded": vae.decode(arrays["latent"], frames),
            "decoded_num_frames_minus_3": vae.decode(arrays["latent"], frames - 3),
        }
    errors = {name: error(value, arrays[name]) for name, value in actual.items()}
    assert max(errors.values()) < TOLERANCE, errors


def test_transformers_t5_matches_the_published_code():
    config, weights, arrays = case("t5_tiny")
    model = transformers.T5EncoderModel(transformers.T5Config(**config))
    model.load_state_dict(weights, strict=False)
    with torch.no_grad():
        out = model.eval()(arrays["ids"], attention_mask=arrays["mask"]).last_hidden_state
    valid = arrays["mask"].bool()
    assert error(out[valid], arrays["out"][valid]) < TOLERANCE


@pytest.mark.parametrize(
    ("manifest", "build"),
    [
        ("manifest_mugv_dit_10b", torch_reference.MUGDiT),
        ("manifest_mugv_vae", torch_reference.VideoVAE),
    ],
)
def test_names_and_shapes_are_the_published_ones(manifest, build):
    description = json.loads((GOLDEN / f"{manifest}.json").read_text())
    config = {key: v for key, v in description["config"].items() if key != "qk_norm"}
    with torch.device("meta"):
        actual = {key: list(v.shape) for key, v in build(**config).state_dict().items()}
    assert actual == description["tensors"]
