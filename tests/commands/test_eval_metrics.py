# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax eval vae` and `eval videos`."""

import json
import shlex

import numpy as np
import pytest

from mugv_jax import cli
from mugv_jax.commands.eval_metrics import named, resolutions
from tests.eval.videos import frames, write
from tests.systems.mugv.folders import write_config

RANDOM = "--random-weights --config small.py --resolutions 32"


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "small.py")
    for number in range(2):
        write(tmp_path / "a" / f"{number}.mp4", frames(9, (48, 32), number))


def run(options: str) -> int:
    try:
        return cli.main(["eval", *shlex.split(options)])
    except SystemExit as stopped:
        return stopped.code


def test_reconstructions_are_measured_and_the_second_run_has_nothing_left_to_do(tmp_path, capsys):
    command = f"vae a {RANDOM} --frames 9 -o out"
    assert run(command) == 0
    first = capsys.readouterr().out
    assert first.startswith("| VAE   | 32p PSNR, dB | 32p SSIM | 32p LPIPS")
    assert first.count("no weights") == 4
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert report["settings"] == {"lpips": None, "flow": "dis", "frames": 9}
    assert report["measured"]["small"]["kind"] == "mugv_vae"
    assert report["scores"]["small"]["32p"]["clips"] == 2
    assert (tmp_path / "out" / "table.md").read_text() == first
    assert len(list((tmp_path / "out" / "pictures" / "small").iterdir())) == 2
    answers = (tmp_path / "out" / "answers" / "small.jsonl").read_bytes()
    assert run(command) == 0
    assert capsys.readouterr().out == first
    assert (tmp_path / "out" / "answers" / "small.jsonl").read_bytes() == answers
    assert run(f"vae a {RANDOM} --frames 17 -o out") == 2
    assert "settings.frames=9, now 17): give another folder" in capsys.readouterr().err


def test_videos_are_measured_against_those_of_the_same_names(tmp_path, capsys):
    for number in range(2):
        darker = (frames(9, (48, 32), number) * 0.8).astype(np.uint8)
        write(tmp_path / "b" / f"{number}.mkv", darker)
    write(tmp_path / "b" / "other.mp4")
    assert run("videos a b -o out") == 2
    assert "other.mp4: has no partner in a" in capsys.readouterr().err
    assert run("videos a b -o out --max-bad 1") == 0
    assert capsys.readouterr().out.startswith("| videos | own size PSNR, dB | own size SSIM |")
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert report["left_out"] == ["b/other.mp4: has no partner in a."]
    assert report["scores"]["b"]["own size"]["clips"] == 2
    assert 10 < report["scores"]["b"]["own size"]["psnr"]["value"] < 30
    assert run("videos a b -o out --max-bad 1 --resolutions 16 --overwrite --frames 5") == 0
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(report["scores"]["b"]) == ["16p"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("vae none", "clips 'none' does not exist"),
        ("vae small.py", "small.py"),
        (f"vae a {RANDOM} --frames 10", "frames=10 must be 8k+1"),
        ("vae a --resolutions 30", "resolution 30 must be a positive multiple of 16"),
        ("vae a --resolutions x", "argument --resolutions: 'x' must be short sides in pixels"),
        ("vae a", "0.mp4 has 48x32 pixels, less than 256p: nothing is enlarged"),
        ("vae a --random-weights", "--random-weights needs --config"),
        ("vae a --config small.py", "--config has the sizes of --random-weights"),
        ("vae a --random-weights --weights x", "--weights and --random-weights exclude each other"),
        (f"vae a {RANDOM} --config small.py", "'small' names several rows: give each a name"),
        (f"vae a {RANDOM} --lpips none.pth", "none.pth"),
        (f"vae a {RANDOM} --raft none.pth", "none.pth"),
        (f"vae a {RANDOM} --pictures -1", "pictures=-1 must be at least 0"),
        ("videos a none", "'none' does not exist: give a folder"),
        ("videos a a --frames 0", "frames=0 must be at least 1"),
        ("videos a a --resolutions 64", "has 48x32 pixels, less than 64p"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(options, message, capsys, tmp_path):
    assert run(f"{options} -o out") == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "out").exists()


def test_names_and_sides_of_options(tmp_path):
    assert named("Wan=weights/vae") == ("Wan", "weights/vae")
    assert named("weights/a=b") == (None, "weights/a=b")
    (tmp_path / "x=y").touch()
    assert named("x=y") == (None, "x=y")
    assert resolutions("256p,480") == (256, 480)
