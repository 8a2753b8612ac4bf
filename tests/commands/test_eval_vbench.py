# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import shlex

import pytest

from mugv_jax import cli
from mugv_jax.commands import generate
from mugv_jax.commands.places import places
from mugv_jax.commands.rows import rows_of
from tests.eval.vbench.test_prompts import LIST, PICTURES, data
from tests.eval.vbench.test_tool import calls, executable
from tests.eval.vbench.test_totals import results

__all__ = ["calls", "data", "executable"]  # fixtures


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t2v.json").write_text(json.dumps(LIST))
    (tmp_path / "i2v.json").write_text(json.dumps(PICTURES))


@pytest.fixture
def made(monkeypatch):
    """Options of the calls of `generate`, for each of which every video is written."""
    asked = []

    def run(args):
        found = places(args, rows_of(args))
        asked.append((args, found))
        for place in found:
            place.path.parent.mkdir(parents=True, exist_ok=True)
            place.path.touch()

    monkeypatch.setattr(generate, "run", run)
    return asked


def run(options: str) -> int:
    try:
        return cli.main(["eval", "vbench", *shlex.split(options)])
    except SystemExit as stopped:
        return stopped.code


def test_videos_have_the_names_that_the_tool_looks_for(made, tmp_path):
    assert run("sample t2v.json -o out --steps 3 --seed 7 --guidance 2") == 0
    ((args, found),) = made
    assert len(found) == 25 + 5 + 5
    assert found[26].path.name == "a red bird-1.mp4"
    assert found[26].row.options(args) == {"prompt": ["a red bird"], "seed": 7 + 100 + 1}
    assert (args.steps, args.guidance, args.model) == (3, 2.0, "mugv")
    assert {path.suffix for path in (tmp_path / "out" / "videos").iterdir()} == {".mp4"}
    lines = (tmp_path / "out" / "samples.jsonl").read_text().splitlines()
    assert json.loads(lines[25]) == {
        "prompt": "a red bird",
        "seed": 107,
        "output": "a red bird-0.mp4",
    }
    prompts = json.loads((tmp_path / "out" / "prompts.json").read_text())
    assert prompts["a red bird-4.mp4"] == "a red bird"
    assert len(prompts) == 35


def test_the_same_command_resumes_and_another_one_is_refused(made, capsys):
    assert run("sample t2v.json -o out --dimensions color") == 0
    assert run("sample t2v.json -o out --dimensions color,appearance_style --per-prompt 6") == 0
    kept = [place.kept for place in made[1][1]]
    assert kept == [True] * 5 + [False] * 7
    assert run("sample t2v.json -o out --seed 8") == 2
    assert "out holds other videos (seed=42, now 8): give another folder" in capsys.readouterr().err
    assert run("sample t2v.json -o out --seed 8 --overwrite") == 0
    assert not any(place.kept for place in made[2][1])


def test_processes_share_the_videos(made):
    for index in range(3):
        assert run(f"sample t2v.json -o out --shard-index {index} --shard-count 3") == 0
    shares = [[place.path.name for place in found] for _, found in made]
    assert sorted(map(len, shares)) == [11, 12, 12]
    assert len({name for share in shares for name in share}) == 35


@pytest.mark.usefixtures("data")
def test_pictures_of_vbench_i2v_are_cropped(made, tmp_path):
    assert run("sample i2v.json --images . --ratio 16-9 -o out --size 64x64") == 0
    ((args, found),) = made
    image = tmp_path / "out" / "images" / "16-9" / "a cat.jpg"
    assert image.is_file()
    assert {place.row.options(args)["image"] for place in found} == {str(image)}
    assert found[0].path.name == "a cat, camera pans left-0.mp4"


def test_scores_of_the_tool_are_summed_up(made, executable, calls, tmp_path, capsys):
    assert run("sample t2v.json -o out") == 0
    command = f"score out --vbench {executable} --dimensions color,human_action"
    assert run(command) == 0
    out = capsys.readouterr().out
    assert "| color                  | 35.00    | 35.00         | 1      | semantic |" in out
    report = json.loads((tmp_path / "out" / "results" / "total.json").read_text())
    assert report["dimensions"] == {"color": 0.35, "human_action": 0.35}
    assert len(calls()) == 2
    assert run(command) == 0
    assert capsys.readouterr().out == out
    assert len(calls()) == 2
    assert made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("sample none.json -o out", "VBench's list 'none.json' does not exist"),
        ("sample t2v.json -o out --dimensions beauty", "'beauty' is none of VBench"),
        ("sample t2v.json -o out --per-prompt 0", "per prompt=0 must lie in 1 to 100"),
        ("sample t2v.json -o out --images .", "--images are of VBench-I2V"),
        ("sample i2v.json -o out", "give its pictures with --images"),
        ("sample i2v.json -o out --images .", "holds neither crop/16-9 nor"),
        ("sample t2v.json -o out --shard-index 1", "--shard-index and --shard-count: give both"),
        ("sample t2v.json -o out --shard-index 2 --shard-count 2", "must lie in 0 to 1"),
        ("score out", "'out/vbench.json' does not exist"),
        ("total none", "results 'none' does not exist"),
    ],
)
def test_a_mistake_is_one_line(options, message, capsys):
    assert run(options) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_tool_that_is_missing_is_told_how_to_install(made, capsys):
    assert run("sample t2v.json -o out --dimensions color") == 0
    assert run("score out --vbench nowhere") == 2
    assert "'nowhere' is not installed: pip install vbench" in capsys.readouterr().err
    assert made


def test_totals_are_printed_and_written(tmp_path, capsys):
    results(tmp_path, "a", {"i2v_subject": 0.9, "dynamic_degree": 0.5})
    assert run("total a_eval_results.json -o new/total.json") == 0
    assert "missing: camera_motion, i2v_background, subject" in capsys.readouterr().out
    report = json.loads((tmp_path / "new" / "total.json").read_text())
    assert report["dimensions"] == {"i2v_subject": 0.9, "dynamic_degree": 0.5}
    assert run("total a_eval_results.json -o new/total.json") == 2
    assert run("total a_eval_results.json -o new/total.json --overwrite") == 0
