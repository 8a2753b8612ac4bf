# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import shlex
import types
from pathlib import Path

import pytest

from mugv_jax import cli, video
from mugv_jax.commands import generate_wan
from mugv_jax.systems.wan.pipeline import WanPipeline
from mugv_jax.systems.wan_text import NEGATIVE_PROMPT

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = (
    f"--model wan --random-weights --config {CONFIGS}/wan_debug.py --size 48x32 --frames 5 "
    "--steps 1 --guidance 1 --compile-cache cache"
)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def generate(capsys, options: str) -> tuple[int, str]:
    """Exit status and stderr of a run."""
    try:
        status = cli.main(["generate", "a boat", *shlex.split(options)])
    except SystemExit as stopped:
        status = stopped.code
    return status, capsys.readouterr().err


def test_what_is_not_asked_for_is_as_the_authors_run_the_small_model():
    requests = []
    pipeline = types.SimpleNamespace(run=lambda request: requests.append(request) or iter(()))
    arguments = ["generate", "--model", "wan", "a boat"]
    generate_wan.prepare(cli._parser("generate").parse_args(arguments))(pipeline)
    (made,) = requests
    assert (made.size.width_px, made.size.height_px, made.size.frames) == (832, 480, 81)
    assert (made.steps, made.shift, made.guidance.scale, made.fps) == (50, 8.0, 6.0, 16.0)
    assert made.negative_prompt == NEGATIVE_PROMPT


def test_random_weights_make_a_video(capsys):
    status, printed = generate(capsys, f"{SMALL} -o boat.mp4")
    assert status == 0, printed
    frames, fps = video.read_video("boat.mp4")
    assert (frames.shape, fps) == ((5, 32, 48, 3), 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--shift auto", "--shift auto is of --model mugv: give wan a number, such as 8."),
        ("--size 48x40", "height=40 must be a positive multiple of 16"),
        ("--frames 6", "frames=6 must be 4k+1"),
        ("--image boat.png", "--image is of --model mugv: wan has no use for it"),
        (f"--config {CONFIGS}/contentv_debug.py", "is of contentv, not of wan: give one such as"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_loaded(options, message, capsys, monkeypatch):
    monkeypatch.setattr(WanPipeline, "run", None)
    status, printed = generate(capsys, f"{SMALL} -o refused.mp4 {options}")
    assert status == 2
    assert message in printed
    assert printed.count("\n") == 1
