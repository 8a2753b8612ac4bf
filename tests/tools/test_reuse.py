# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The table of losses from fewer evaluations, from weights and samples to JSON."""

import dataclasses
import json
import shlex

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from mugv_jax.flow.sampler import Sample
from tests.systems.mugv.folders import SMALL, published_tensors
from tests.train.runs import TEXT_DIM, write_samples
from tools.benchmarks import reuse


def test_psnr_is_of_the_range_of_the_full_run():
    full = np.linspace(-1, 3, 1000).reshape(1, 1, 10, 10, 10)
    assert reuse._psnr(full + 0.04, full) == pytest.approx(40.0)
    assert reuse._psnr(full, full) == 200


def test_each_variant_is_held_against_the_run_that_saves_nothing():
    asked = []

    def runs(steps, threshold, interval):
        asked.append((steps, threshold, interval))
        x = jnp.arange(8.0).reshape(1, 2, 2, 2, 1) + threshold
        return [Sample(x, evaluations=2 * steps if not threshold else steps, possible=2 * steps)]

    rows = list(reuse._compared(runs, 12, [0.5], [(0.2, 1.0)]))
    assert [row["variant"] for row in rows] == [
        "6 steps",
        "4 steps",
        "threshold 0.5",
        "guidance in 0.2 to 1",
        "guidance in 0.2 to 1, threshold 0.5",
    ]
    assert asked[0] == (12, 0.0, reuse.ALWAYS)
    assert rows[2]["fewer"] == 2
    assert (rows[2]["evaluations"], rows[2]["of"]) == (12, 24)
    assert rows[2]["psnr_min_db"] == pytest.approx(20 * np.log10(7 / 0.5), rel=1e-5)


def test_weights_and_samples_become_a_table(tmp_path, capsys):
    config = dataclasses.replace(SMALL.dit, depth=1, text_dim=TEXT_DIM)
    torch.save(published_tensors("mugv_dit", config), tmp_path / "dit.pt")
    samples = write_samples(tmp_path / "samples", 2, shapes=((1, 4, 4),))
    options = shlex.split("--steps 3 --guidance 4 --thresholds 1e6 --clips 1 --seeds 1 --shifts 2")
    output = tmp_path / "reuse.json"
    files = ["--dit", f"{tmp_path / 'dit.pt'}", "--samples", f"{samples}", "--output", f"{output}"]
    reuse.main(files + options)
    rows = json.loads(output.read_text())["rows"]
    assert [(row["variant"], row["evaluations"]) for row in rows] == [
        ("1 steps", 2),
        ("1 steps", 2),
        ("threshold 1e+06", 4),
    ]
    assert all(np.isfinite(row["psnr_min_db"]) for row in rows)
    assert "| 2 | 4 | 3 | threshold 1e+06 | 4.0 of 6 | 1.50x |" in capsys.readouterr().out
