# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import shlex

import pytest

from mugv_jax import cli, commands
from mugv_jax.demo.eval.sweep import Sweep
from mugv_jax.demo.world.scene import Format
from mugv_jax.systems.mugv.defaults import Defaults
from tests.demo.eval.renderer import Renderer, config
from tests.systems.mugv.folders import SMALL, write_config

RANDOM = "--random-weights --config small.py --frames 9 --clips 2 --steps 1"


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "small.py")


def run(options: str) -> int:
    try:
        return cli.main(["eval", "demo", *shlex.split(options)])
    except SystemExit as stopped:
        return stopped.code


@pytest.fixture
def asked(monkeypatch):
    """Pipelines and settings of the generators, which the world's renderer replaces."""
    asked = []

    def generator(pipeline, settings):
        asked.append((pipeline, settings))
        return Renderer(config(clips=2))

    monkeypatch.setattr("mugv_jax.commands.eval.PipelineGenerator", generator)
    return asked


def test_a_model_is_scored_and_the_second_run_has_nothing_left_to_do(tmp_path, asked, capsys):
    command = f"{RANDOM} --out new/scores --fps 8 --guidance 2 --vae-tile 64"
    assert run(command) == 0
    first = capsys.readouterr()
    for title in ("the clips themselves", "VAE reconstruction", "text to video", "image to video"):
        assert f"| {title}" in first.out
    assert "| VAE reconstruction | seen         | 120.00 (120.00 to 120.00) |" in first.out
    scores = json.loads((tmp_path / "new" / "scores" / "scores.json").read_text())
    assert scores["settings"]["format"]["frames"] == 9
    assert scores["weights"]["sizes"]["dit"]["width"] == SMALL.dit.width
    assert scores["scores"]["t2v"]["unseen"]["all"]["right"] == 2
    assert len(scores["answers"]) == 4 * 2 * 2
    ((pipeline, settings),) = asked
    assert settings.format == Format(width_px=64, height_px=64, frames=9, fps=8.0)
    assert (settings.steps, settings.shift, settings.guidance) == (1, None, 2.0)
    assert (pipeline.models.config, pipeline.models.keep_loaded) == (SMALL, True)
    assert (settings.clips, pipeline.tiling.rows) == (2, 8)
    answers = (tmp_path / "new" / "scores" / "answers.jsonl").read_bytes()
    assert run(command) == 0
    assert capsys.readouterr().out == first.out
    assert (tmp_path / "new" / "scores" / "answers.jsonl").read_bytes() == answers
    assert run(f"{RANDOM} --out new/scores") == 2
    assert "settings.guidance=2.0, now 4.0): give another folder" in capsys.readouterr().err


def test_a_sweep_samples_at_every_value(tmp_path, asked, capsys):
    assert run(f"{RANDOM} --out swept --sweep guidance=3,1") == 0
    assert [settings.guidance for _, settings in asked] == [1, 3]
    assert asked[0][0] is asked[1][0]  # texts are encoded once
    assert "| image to video | unseen       | 3        | 100.0" in capsys.readouterr().out
    report = json.loads((tmp_path / "swept" / "sweep_guidance.json").read_text())
    assert [list(entry["scores"]) for entry in report["entries"]] == [["t2v", "i2v"]] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--world large", "argument --world: invalid choice: 'large'"),
        ("--clips 1", "clips=1 must be at least 2"),
        ("--frames 16", "frames=16 must be 8k+1"),
        ("--size 48x64", "width_px=48 must be 64, 80 or 96"),
        ("--size big", "size 'big' must be WIDTHxHEIGHT"),
        ("--tasks t2v,v2v", "tasks=t2v,v2v must be some of truth, vae, t2v, i2v"),
        ("--steps 0", "steps=0 must be at least 1"),
        ("--guidance nan", "guidance=nan"),
        ("--sweep seed=1,2", "sweep 'seed=1,2' must be NAME=VALUE,VALUE,... of guidance or steps"),
        ("--sweep steps=4,0", "steps=0 must be at least 1"),
        ("--seed -1", "seed=-1 must lie in 0 to"),
        ("--seeds 2,3,2", "seeds=(2, 3, 2) must be one or more, each once"),
        ("--seeds 2,x", "argument --seeds/--seed: '2,x' must be N, or N,N,..."),
        ("--out ''", "argument -o/--output: is empty"),
        ("--vae-tile 9", "vae tile=9 must be a multiple of 8"),
        ("--weights .", "--weights and --random-weights exclude each other"),
    ],
)
def test_a_mistake_is_one_line(options, message, capsys):
    assert run(f"{RANDOM} --out refused {options}") == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("mugv-jax eval")
    assert printed.count("\n") == 1


def test_steps_and_guidance_are_those_of_the_weights_where_none_are_given():
    defaults = Defaults(steps=7, guidance=2.5)
    parser = cli._parser("eval")
    for options, expected in (([], (7, 2.5)), (["--steps", "9", "--guidance", "0"], (9, 0.0))):
        asked = commands.eval._config(parser.parse_args(["eval", "demo", *options]), defaults)
        assert (asked.steps, asked.guidance) == expected


def test_several_seeds_are_scored_together():
    parser = cli._parser("eval")
    for options, seeds in (([], (1,)), (["--seed", "4"], (4,)), (["--seeds", "2,3"], (2, 3))):
        args = parser.parse_args(["eval", "demo", *options])
        assert commands.eval._config(args, Defaults()).seeds == seeds


def test_a_student_is_scored_as_it_samples():
    defaults = Defaults(times=(1.0, 0.4), steps=2, renoise=True, guidance=1.0)
    parser = cli._parser("eval")

    def config(*options):
        return commands.eval._config(parser.parse_args(["eval", "demo", *options]), defaults)

    assert (config().times, config().renoise) == ((1.0, 0.4), True)
    assert config().settings()["renoise"]
    changed = config("--steps", "3", "--renoise", "off")
    assert (changed.steps, changed.times, changed.renoise) == (3, None, False)
    assert not {"times", "renoise"} & changed.settings().keys()
    swept = Sweep("steps", (1, 4)).configs(config())
    assert [each.times for each in swept.values()] == [None, None]


def test_without_weights_those_of_the_demo_are_scored(monkeypatch, capsys):
    monkeypatch.setattr("mugv_jax.commands.model_options.demo_weights", lambda: "the/demo")
    assert run("--clips 2") == 2
    assert "the/demo" in capsys.readouterr().err
