# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import argparse
import re

import jax
import numpy as np
import pytest
import torch

from mugv_jax.commands import average as command
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.train import average as average_module
from mugv_jax.train.average import weights_of
from mugv_jax.weights import torch_files
from mugv_jax.weights.load import load
from tests.weights import checkpoints
from tests.weights.training import save_steps, weights

CONFIG = DiTConfig(depth=2, width=48, num_heads=2, text_dim=16)
# Sums are float64 and rounded once, to the nearest float32.
ROUNDED_ONCE = 2.0**-24


def average(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def test_shares_decay_towards_the_oldest_and_sum_to_one():
    np.testing.assert_allclose(weights_of(3, 0.5), np.array([1, 2, 4]) / 7, rtol=1e-15)
    np.testing.assert_allclose(weights_of(4, 1.0), 0.25)
    assert weights_of(2, 1e-9)[-1] == pytest.approx(1)


def test_a_run_is_averaged_over_its_checkpoints(tmp_path):
    states = {step: {"params": weights(CONFIG, step)} for step in (2, 10, 30)}
    run = save_steps(tmp_path / "run", CONFIG, states)
    average(run, tmp_path / "all", "--decay", "0.5")
    average(run, tmp_path / "two.pt", "--decay", "0.5", "--last", "2")
    for path, steps, shares in (
        ("all", (2, 10, 30), (1 / 7, 2 / 7, 4 / 7)),
        ("two.pt", (10, 30), (1 / 3, 2 / 3)),
    ):
        config, variables = load(tmp_path / path)
        assert config == CONFIG
        expected = jax.tree.map(
            lambda *leaves, shares=shares: sum(
                share * np.float64(leaf) for share, leaf in zip(shares, leaves)
            ),
            *(states[step]["params"] for step in steps),
        )
        jax.tree.map(
            lambda found, wanted: np.testing.assert_allclose(found, wanted, 2 * ROUNDED_ONCE),
            variables["params"],
            expected,
        )


def test_files_of_any_kind_are_averaged_and_statistics_are_the_newest_ones(tmp_path, monkeypatch):
    old = checkpoints.golden_tensors("vae_tiny")
    new = {name: tensor * 3 for name, tensor in old.items()}
    reopened = []
    release = torch_files.TorchSource.release
    monkeypatch.setattr(average_module, "PIECE_BYTES", 200_000)
    monkeypatch.setattr(
        torch_files.TorchSource, "release", lambda source: (reopened.append(1), release(source))
    )
    average(
        checkpoints.save(tmp_path / "old.pt", old),
        checkpoints.save(tmp_path / "new.pt", new),
        tmp_path / "mean.safetensors",
        "--decay=1",
        "--dtype=bfloat16",
    )
    average(tmp_path / "mean.safetensors", tmp_path / "new.pt", tmp_path / "out.pt", "--decay=1")
    found = checkpoints.read(tmp_path / "out.pt")
    assert torch.equal(found["shift"], new["shift"])
    name = next(name for name in old if name.endswith("conv_in.weight"))
    torch.testing.assert_close(found[name], ((old[name] * 2).bfloat16().float() + new[name]) / 2)
    assert len(reopened) > 2 * 2 + 1  # memory of mapped files is given back on the way


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ("a", ("--decay=0.5",), "1 checkpoint: an average needs at least 2"),
        ("aa", ("--decay=0",), "decay=0.0 must lie in (0, 1]"),
        ("aa", ("--decay=1.5",), "decay=1.5 must lie in (0, 1]"),
        ("aa", ("--decay=1", "--last=1"), "last=1 must be at least 2"),
        ("ab", ("--decay=0.5",), "only checkpoints of one model have an average"),
        ("ac", ("--decay=0.5",), "holds mugv_dit"),
        ("az", ("--decay=0.5",), "there is no such file"),
    ],
)
def test_what_has_no_average_is_refused(tmp_path, sources, options, message):
    paths = {name: tmp_path / f"{name}.pt" for name in "abcz"}
    checkpoints.save(paths["a"], checkpoints.golden_tensors("t5_tiny"))
    smaller = checkpoints.golden_tensors("t5_tiny")
    smaller = {name: tensor for name, tensor in smaller.items() if ".block.1." not in name}
    checkpoints.save(paths["b"], smaller)
    checkpoints.save(paths["c"], checkpoints.golden_tensors("mugdit_tiny"))
    with pytest.raises(ValueError, match=re.escape(message)):
        average(*(paths[name] for name in sources), tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()
