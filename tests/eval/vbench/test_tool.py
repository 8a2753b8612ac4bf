# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""VBench's tool, for which a small program stands in."""

import json
import sys
from pathlib import Path

import pytest

from mugv_jax.eval.vbench.suites import I2V, T2V
from mugv_jax.eval.vbench.tool import Tool
from mugv_jax.eval.vbench.totals import read_results

STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, sys

words = sys.argv[1:]
with open({{calls!r}}, "a") as file:
    file.write(json.dumps([os.getcwd(), *words]) + "\\n")
value = dict(zip(words, words[1:]))
if words[0] == "static_filter":
    filtered = pathlib.Path(value["--result_path"], "filtered_videos")
    filtered.mkdir(parents=True)
    (filtered / "a-0.mp4").touch()
elif value["--dimension"] == "scene":
    sys.exit("no detectron2")
else:
    name = value["--dimension"]
    count = len(os.listdir(value["--videos_path"]))
    path = pathlib.Path(value["--output_path"], f"results_{{name}}_eval_results.json")
    path.write_text(json.dumps({{name: [count / 100, []]}}))
"""


@pytest.fixture
def calls(tmp_path):
    path = tmp_path / "calls"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def executable(tmp_path):
    """The stand-in, as the tool `vbench` and as the script of a checkout."""
    (tmp_path / "checkout").mkdir()
    text = STAND_IN.replace("{calls!r}", repr(str(tmp_path / "calls")))
    for name in ("vbench", "checkout/evaluate_i2v.py"):
        text = text.replace("{{", "{").replace("}}", "}")
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return str(tmp_path / "vbench")


@pytest.fixture
def videos(tmp_path):
    (tmp_path / "my videos").mkdir()
    for name in ("a-0.mp4", "a-1.mp4", "b-0.mp4"):
        (tmp_path / "my videos" / name).touch()
    return tmp_path / "my videos"


def test_every_dimension_is_measured_once(executable, videos, calls, tmp_path):
    tool = Tool(vbench=executable, suite=T2V, gpus=2, local=True)
    results = tmp_path / "results"
    tool.measure(videos, results, ["color"])
    tool.measure(videos, results, ["color", "temporal_flickering"])
    assert read_results([results]) == {"color": 0.03, "temporal_flickering": 0.01}
    found = [each[1:] for each in calls()]
    assert found[0] == [
        "evaluate", "--videos_path", str(videos), "--output_path", str(results), "--dimension",
        "color", "--load_ckpt_from_local", "True", "--ngpus", "2",
    ]  # fmt: skip
    assert found[1][:3] == ["static_filter", "--videos_path", str(videos)]
    assert found[2][2] == str(results / "static" / "filtered_videos")
    assert len(found) == 3
    tool.measure(videos, results, ["color"], anew=True)
    assert read_results([results]) == {"color": 0.03}


@pytest.mark.usefixtures("executable")
def test_vbench_i2v_runs_in_its_checkout(videos, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool = Tool(vbench="checkout", python=sys.executable, suite=I2V, ratio="7-4")
    tool.measure(Path("my videos"), Path("results"), ["i2v_subject"])
    (call,) = calls()
    assert call[0] == str(tmp_path / "checkout")
    assert call[1:3] == ["--videos_path", str(videos)]
    assert call[-2:] == ["--ratio", "7-4"]
    assert read_results([tmp_path / "results"]) == {"i2v_subject": 0.03}


def test_a_dimension_without_a_result_is_an_error(executable, videos, tmp_path):
    tool = Tool(vbench=executable, suite=T2V)
    with pytest.raises(ValueError, match=r"no result for scene \(no detectron2\): see .*scene.log"):
        tool.measure(videos, tmp_path / "results", ["color", "scene"])
    assert read_results([tmp_path / "results"]) == {"color": 0.03}


def test_a_tool_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="'nowhere/vbench' is not installed: pip install vbench"):
        Tool(vbench="nowhere/vbench", suite=T2V)
    with pytest.raises(ValueError, match="is no checkout of VBench"):
        Tool(vbench=str(tmp_path), suite=I2V)


def test_what_the_tool_stumbles_over_is_refused(executable, videos, tmp_path):
    tool = Tool(vbench=executable, suite=T2V)
    results = tmp_path / "results"
    with pytest.raises(ValueError, match="takes no path with one of"):
        tool.measure(tmp_path / "a$b", results, ["color"])
    with pytest.raises(ValueError, match="is no folder of videos"):
        tool.measure(tmp_path / "none", results, ["color"])
    (videos / "seeds.json").touch()
    with pytest.raises(ValueError, match=r"holds 'seeds.json': VBench's tool wants a folder"):
        tool.measure(videos, results, ["color"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is empty: VBench's tool wants"):
        tool.measure(tmp_path / "empty", results, ["color"])
