# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import argparse
import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from flax import traverse_util

from mugv_jax.commands import expand as command
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.train.expand import AXES, Expansion, block_order, expand, widen
from mugv_jax.weights import parameters as parameters_module
from mugv_jax.weights.check import variable_shapes
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.registry import MODELS
from tests.nn.test_mugdit import inputs
from tests.weights import checkpoints
from tests.weights.training import weights
from tools import torch_reference

CONFIG = DiTConfig(depth=2, width=48, num_heads=2, text_dim=16)
# The bar of the conversion; the sums over a longer width are in another order.
SAME_FUNCTION = 1e-5


def arguments(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def torch_output(path, **sizes):
    """Output of the PyTorch model on the arrays of a golden case, with the weights at `path`."""
    case = json.loads((checkpoints.GOLDEN / "mugdit_tiny.json").read_text())
    config = {key: value for key, value in case["config"].items() if key != "qk_norm"} | sizes
    model = torch_reference.MUGDiT(**config)
    model.load_state_dict(checkpoints.read(path))
    with np.load(checkpoints.GOLDEN / "mugdit_tiny.npz") as arrays:
        given = {
            name: torch.from_numpy(arrays[name])
            for name in arrays
            if name not in ("out", "block0", "block_last")
        }
    with torch.no_grad():
        return model(**given).numpy()


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        (("--factor", 2), {"hidden_size": 2, "num_heads": 2}),
        (("--factor", 3), {"hidden_size": 3, "num_heads": 3}),
        (("--factor", 2, "--depth", 5, "--noise", 0.5), {"hidden_size": 2, "num_heads": 2}),
    ],
)
def test_the_larger_published_model_computes_what_the_small_one_does(tmp_path, options, sizes):
    small = checkpoints.save(tmp_path / "small.pt", checkpoints.golden_tensors("mugdit_tiny"))
    command.run(arguments(small, tmp_path / "large.pt", *options))
    config = json.loads((checkpoints.GOLDEN / "mugdit_tiny.json").read_text())["config"]
    sizes = {name: factor * config[name] for name, factor in sizes.items()}
    if "--depth" in options:
        sizes["depth"] = 5
    found = torch_output(tmp_path / "large.pt", **sizes)
    assert relative(found, torch_output(small)) < SAME_FUNCTION


def test_new_blocks_are_identities_behind_those_they_copy(tmp_path):
    small = checkpoints.save(tmp_path / "small.pt", checkpoints.golden_tensors("mugdit_tiny"))
    command.run(arguments(small, tmp_path / "deep.pt", "--depth", "4"))
    # Nothing is computed in a block that adds zero, so not one bit differs.
    np.testing.assert_array_equal(torch_output(tmp_path / "deep.pt", depth=4), torch_output(small))
    tensors = checkpoints.read(tmp_path / "deep.pt")
    assert tensors["blocks.1.mlp.fc2.weight"].abs().max() == 0
    assert torch.equal(tensors["blocks.1.mlp.fc1.weight"], tensors["blocks.0.mlp.fc1.weight"])


@pytest.mark.parametrize(
    ("old", "new", "order"),
    [(2, 4, "0 0+ 1 1+"), (3, 4, "0 1 2 2+"), (2, 5, "0 0+ 1 1+ 1+"), (2, 2, "0 1")],
)
def test_new_blocks_are_spread_evenly(old, new, order):
    assert " ".join(f"{i}{'+' * new}" for i, new in block_order(old, new)) == order


def test_the_table_is_of_the_whole_model_and_makes_the_larger_one():
    shapes = variable_shapes(MODELS["mugv_dit"], CONFIG)
    assert set(AXES) | {path for path in shapes if path.endswith("/bias")} == set(shapes)
    expansion = Expansion(factor=3, depth=7)
    tensors = checkpoints.in_memory({"params": weights(CONFIG, 0)})
    larger = expand(tensors, CONFIG, expansion)
    expected = variable_shapes(MODELS["mugv_dit"], expansion.config(CONFIG))
    assert {path: lazy.shape for path, lazy in larger.items()} == expected


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("factor", "noise"), [(2, 0.0), (3, 0.0), (2, 1.0), (3, 1.0)])
def test_shares_of_a_weight_sum_to_it(dtype, factor, noise):
    weight = np.random.default_rng(0).standard_normal((8, 5)).astype(dtype)
    rng = np.random.default_rng(1)
    wide = widen(weight, ["in", "out"], factor, noise, rng).astype(np.float64)
    total = wide.reshape(factor, 8, factor, 5).sum(axis=0)
    exact = np.broadcast_to(weight.astype(np.float64)[:, None], total.shape)
    # Without noise nothing is left over in bfloat16; with it the last share is rounded.
    unit = {np.float32: 2.0**-23, ml_dtypes.bfloat16: 2.0**-8 if noise else 0}[dtype]
    np.testing.assert_allclose(total, exact, rtol=0, atol=unit * np.abs(wide).max())


def test_noise_has_the_size_asked_for_and_depends_on_seed_name_and_layer_alone(monkeypatch):
    tensors = checkpoints.in_memory({"params": weights(CONFIG, 0)})
    path = "params/blocks/mlp/up/kernel"
    box = tuple(slice(0, size) for size in (2, 96, 384))
    plain, noisy, other = (
        expand(tensors, CONFIG, Expansion(factor=2, noise=noise, seed=seed))[path].read(box)
        for noise, seed in ((0.0, 0), (0.25, 0), (0.25, 1))
    )
    assert 0.24 < np.std(noisy - plain) / np.std(plain) < 0.26
    assert not np.allclose((noisy - plain)[0], (noisy - plain)[1])
    assert not np.allclose(noisy, other)

    monkeypatch.setattr(parameters_module, "PIECE_BYTES", 1)
    again = expand(tensors, CONFIG, Expansion(factor=2, noise=0.25))[path]
    for index, piece in again.pieces((slice(0, 2), slice(50, 60), slice(7, 300))):
        assert index[0].stop - index[0].start == 1
        np.testing.assert_array_equal(piece, noisy[index])


def test_only_noise_lets_the_copies_learn_different_things():
    """Without noise, both copies of an MLP's hidden unit have the same gradient."""
    small = dataclasses.replace(CONFIG, depth=1)
    tensors = checkpoints.in_memory({"params": weights(small, 0)})
    network = MugDiT(Expansion(factor=2).config(small))
    x, t, text, options = inputs()

    @jax.jit
    def output_and_gradient(variables):
        def loss(variables):
            out = network.apply(variables, x, t, text, **options)
            return jnp.mean(jnp.square(out)), out

        (_, out), gradient = jax.value_and_grad(loss, has_aux=True)(variables)
        return out, gradient["params"]["blocks"]["mlp"]["up"]["bias"]

    outputs, gradients = [], []
    for noise in (0.0, 0.5):
        larger = expand(tensors, small, Expansion(factor=2, noise=noise))
        values = {path: next(lazy.pieces())[1] for path, lazy in larger.items()}
        out, bias = output_and_gradient(traverse_util.unflatten_dict(values, sep="/"))
        outputs.append(out)
        gradients.append(np.asarray(bias).reshape(2, -1))
    assert relative(*outputs) < SAME_FUNCTION
    assert relative(*gradients[0]) < 1e-3
    assert relative(*gradients[1]) > 0.1


def test_what_the_model_does_not_read_is_kept(tmp_path):
    tensors = checkpoints.golden_tensors("mugdit_tiny")
    text_dim = tensors["y_embedder.y_proj.fc1.weight"].shape[1]
    tensors["y_embedder.y_embedding"] = torch.randn(300, text_dim)
    half = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    small = checkpoints.save(tmp_path / "small.pt", half)
    command.run(arguments(small, tmp_path / "large", "--factor", "2"))
    _, config = read_config(tmp_path / "large")
    assert (config.width, config.num_heads, config.head_dim) == (288, 4, 72)
    command.run(arguments(tmp_path / "large", tmp_path / "larger.pt", "--depth", "3"))
    found = checkpoints.read(tmp_path / "larger.pt")
    assert torch.equal(found["y_embedder.y_embedding"], half["y_embedder.y_embedding"])
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    _, variables = load(tmp_path / "larger.pt")
    assert variables["params"]["blocks"]["mlp"]["up"]["kernel"].shape == (3, 288, 1152)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to expand"),
        (("--factor", "0"), "factor=0 must be at least 1"),
        (("--depth", "1"), "depth=1 must be at least the 2 blocks"),
        (("--factor", "2", "--noise=-1"), "noise=-1.0 must be 0 or a positive number"),
        (("--depth", "4", "--noise", "0.1"), "factor=1 makes none"),
        (("--factor", "2", "--dtype", "int8"), "must be a floating type"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, message):
    small = checkpoints.save(tmp_path / "small.pt", checkpoints.golden_tensors("mugdit_tiny"))
    with pytest.raises(ValueError, match=re.escape(message)):
        command.run(arguments(small, tmp_path / "large.pt", *options))
    assert [path.name for path in tmp_path.iterdir()] == ["small.pt"]


def test_other_models_are_refused(tmp_path):
    other = checkpoints.save(tmp_path / "t5.pt", checkpoints.golden_tensors("t5_tiny"))
    with pytest.raises(ValueError, match="not a MUGDiT checkpoint"):
        command.run(arguments(other, tmp_path / "large.pt", "--factor", "2"))
