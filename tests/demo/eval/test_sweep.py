# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mugv_jax.demo.eval.report import sweep_text
from mugv_jax.demo.eval.sweep import Sweep, evaluate_sweep
from tests.demo.eval import renderer
from tests.demo.eval.renderer import Renderer, config

WEIGHTS = {"files": {}}


def test_every_value_has_its_own_scores(tmp_path):
    asked = config(clips=2, tasks=("t2v",))
    used = []

    def generator(config):
        """Renderer whose clips show no object below eight steps."""
        used.append((config.steps, config.guidance))
        make = renderer.same if config.steps >= 8 else lambda _, scene: renderer.empty(scene)
        return Renderer(config, make)

    sweep = Sweep.parse("steps=16,4")
    report = evaluate_sweep(sweep, asked, generator, WEIGHTS, tmp_path)
    assert used == [(4, asked.guidance), (16, asked.guidance)]
    assert json.loads((tmp_path / "sweep_steps.json").read_text()) == json.loads(json.dumps(report))
    found = [(e["value"], e["scores"]["t2v"]["unseen"]["all"]["right"]) for e in report["entries"]]
    assert found == [(4, 0), (16, 2)]
    assert (tmp_path / "steps_4" / "scores.json").is_file()
    assert "| text to video | seen         | 16    | 100.0 (34.2" in sweep_text(report)


@pytest.mark.parametrize(
    "text", ["steps", "steps=4", "steps=4,4", "steps=4,8.5", "seed=1,2", "guidance=1,x", "="]
)
def test_invalid_sweeps_are_refused(text):
    with pytest.raises(ValueError, match=r"must be NAME=VALUE,VALUE,... of guidance or steps"):
        Sweep.parse(text)


def test_a_value_out_of_range_is_refused_before_any_is_measured():
    with pytest.raises(ValueError, match="steps=0 must be at least 1"):
        Sweep.parse("steps=8,0").configs(config())
