# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The order of the comparison's commands and its table; the commands have their own tests."""

import json
import xml.etree.ElementTree as ET

import pytest

from mugv_jax import config as configs
from mugv_jax.demo.eval.intervals import share
from mugv_jax.train.diffusion import parts_of
from mugv_jax.train.train_config import from_config_dict
from tools import compare_post_training as tool

MEASURES = ("motion", "physics", "shape", "colour", "all")


@pytest.fixture
def compare(tmp_path):
    """Runs the tool; returns the commands that it would run."""

    def run(*options):
        calls = []
        assert tool.main(["w", "p", "--output", str(tmp_path), *options], calls.append) == 0
        return calls

    return run


def config_of(words):
    """Settings of a training command, as the command reads them."""
    values = configs.read(words[words.index("--config") + 1])
    overrides = [word for word in words if word.startswith("--config.")]
    return from_config_dict(configs.override(values, overrides))


def samples_of(config):
    sources = getattr(config.objective, "built", {"": config.data})
    return [path for source in sources.values() for path in source.paths]


def clips_of_a_step(config):
    """Single clips of a step, or both sides of its pairs; the same for all sources of a run."""
    (clips,) = {
        part.config.data.batch * (2 if part.config.objective.name == "dpo" else 1)
        for part in parts_of(config).values()
    }
    return clips


def test_every_method_takes_as_many_clips_from_what_is_made_before(compare):
    made, clips = {"p"}, {}
    for words in compare("--seeds", "3"):
        if words[0] == "train":
            config = config_of(words)
            name = words[words.index("--output") + 1]
            assert made >= {*samples_of(config)}, name
            assert config.run.weights == "w/dit.safetensors"
            assert config.run.seed == 3
            assert config.lora is None
            clips[name] = config.run.steps * clips_of_a_step(config)
        for option in ("-o", "--output"):
            made |= {words[words.index(option) + 1]} if option in words else set()
    assert len(clips) == len(tool.METHODS)
    sampling = ("/reward-3", "/nft-3")
    assert len({count for name, count in clips.items() if not name.endswith(sampling)}) == 1


def test_what_has_finished_is_not_run_again(compare):
    first = compare("--methods", "dpo", "--seeds", "0")
    second = compare("--methods", "dpo", "kto", "--seeds", "0")
    assert sum(words[0] == "train" for words in first) == 1
    assert [words[0] for words in second] == ["train", "eval"]


def test_the_table_counts_all_clips_of_all_seeds(compare, tmp_path, capsys):
    for seed, right in ((0, 90), (1, 50)):
        folder = tmp_path / "scores" / f"sft-{seed}"
        folder.mkdir(parents=True)
        each = {measure: {"right": right} for measure in MEASURES} | {"clips": 100}
        (folder / "scores.json").write_text(
            json.dumps({"scores": {"t2v": {"validation": each, "unseen": each}}})
        )
    picture = tmp_path / "errors.svg"
    compare("--methods", "sft", "--seeds", "0", "--svg", str(picture))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| sft |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["2", "400"]
    wrong, unseen = share(120, 400), share(140, 200)
    assert cells[3] == f"{100 * wrong.value:.1f} ({100 * wrong.low:.1f} to {100 * wrong.high:.1f})"
    assert cells[-1].startswith(f"{100 * unseen.value:.1f} (")
    elements = list(ET.parse(picture).iter())
    assert {"sft", "wrong motion", "30%"} <= {each.text for each in elements}
    dots = [each.get("cx") for each in elements if each.tag.endswith("circle")]
    assert len(dots) == 2
    assert dots[0] == dots[1]
