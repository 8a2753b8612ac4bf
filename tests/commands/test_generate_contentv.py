# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import shlex
import shutil
import types
from pathlib import Path

import numpy as np
import pytest

from mugv_jax import cli, video
from mugv_jax.commands import generate_contentv
from mugv_jax.commands.generate import generators
from mugv_jax.commands.sampling import OF_MODEL
from mugv_jax.systems.contentv.pipeline import ContentvPipeline
from mugv_jax.systems.contentv.request import CONTENTV_SIZES
from tests.systems.contentv.folders import write_published
from tests.systems.mugv.folders import write_config

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = (
    f"--model contentv --random-weights --config {CONFIGS}/contentv_debug.py --size 48x32 "
    "--frames 9 --steps 2 --compile-cache cache"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of weights, a picture and sizes of MUG-V; every test runs in it."""
    folder = tmp_path_factory.mktemp("generate")
    write_published(folder / "published")
    shutil.copytree(folder / "published", folder / "lacking")
    shutil.rmtree(folder / "lacking" / "text_encoder_2")
    write_config(folder / "mugv.py")
    return folder


@pytest.fixture(autouse=True)
def _inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def generate(capsys, options: str, *prompts: str) -> tuple[int, str]:
    """Exit status and stderr of a run."""
    try:
        status = cli.main(["generate", *(prompts or ("a boat",)), *shlex.split(options)])
    except SystemExit as stopped:
        status = stopped.code
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--image image.png", "--image is of --model mugv: contentv has no use for it"),
        ("--last-image image.png", "--last-image is of --model mugv"),
        ("--keyframe 9=image.png", "--keyframe is of --model mugv"),
        ("--continue-video clip.mp4", "--continue-video is of --model mugv"),
        ("--init-video clip.mp4", "--init-video is of --model mugv"),
        ("--strength 0.5", "--strength is of --model mugv"),
        ("--reuse-threshold 0.1", "--reuse-threshold is of --model mugv"),
        ("--conditioning-fps 8", "--conditioning-fps is of --model mugv"),
        ("--aesthetic-score none", "--aesthetic-score is of --model mugv"),
        ("--text-encoder t5", "--text-encoder is of --model mugv"),
        ("--tokenizer t5", "--tokenizer is of --model mugv"),
        ("--shift auto", "--shift auto is of --model mugv: give contentv a number"),
        ("--size 50x32", "width=50 must be a positive multiple of 16"),
        ("--size 5:4", "or one of 16:9 (768x432), 3:2"),
        ("--frames 8", "frames=8 must be 4k+1"),
        ("--frames 5s", "frames '5s' must be a whole number of the form 4k+1"),
        ("--steps 0", "steps=0 must be at least 1"),
        ("--guidance nan", "guidance=nan"),
        ("--guidance-interval 1", "guidance interval '1' must be LOW,HIGH"),
        ("--mesh data=3,tensor=4", "needs 12 devices, but there are 8"),
        ("--vae-tile 100", "vae tile=100 must be a multiple of 8"),
        ("--config mugv.py", "config mugv.py is of mugv, not of contentv: give one such as"),
        ("--weights published", "--weights and --random-weights exclude each other"),
        ("--dit transformer", "--dit and --random-weights exclude each other"),
        ("--model flux", "invalid choice: 'flux'"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_loaded(options, message, capsys, monkeypatch):
    monkeypatch.setattr(ContentvPipeline, "run", None)
    status, printed = generate(capsys, f"{SMALL} -o new/refused.mp4 {options}")
    assert status == 2
    assert message in printed
    assert printed.count("\n") == 1
    assert printed.startswith("mugv-jax generate: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "no weights: give --weights FOLDER"),
        ("--random-weights", "--random-weights needs --config, such as contentv_debug"),
        ("--weights lacking", "holds no clip_text weights: looked for text_encoder_2"),
        ("--weights published --model mugv", "not a MUGDiT checkpoint: it has no x_embedder"),
    ],
)
def test_weights_that_cannot_be_used_are_one_line(options, message, capsys):
    status, printed = generate(capsys, f"--model contentv --compile-cache cache {options}")
    assert status == 2
    assert message in printed
    assert printed.count("\n") == 1


def test_sizes_of_contentv_are_none_of_mugv(capsys):
    options = f"--random-weights --config {CONFIGS}/contentv_debug.py"
    status, printed = generate(capsys, f"{options} --compile-cache cache")
    assert status == 2
    assert "contentv_debug.py is of contentv, not of mugv" in printed


def test_weights_and_prompts_become_videos_that_play(capsys):
    options = SMALL.replace(f"--random-weights --config {CONFIGS}/contentv_debug.py", "")
    options += " --weights published --upscale 2 --contact-sheet sheet.png -o boat.mp4"
    status, printed = generate(capsys, options, "a boat", "a cat")
    assert status == 0, printed
    for name in ("boat_0.mp4", "boat_1.mp4"):
        frames, fps = video.read_video(name)
        assert (frames.shape, fps) == ((9, 64, 96, 3), 24)
        assert len(np.unique(frames)) > 100  # a picture, not a constant
        assert f"wrote {name}: 9 frames at 24 per second" in printed
    assert "denoising video 2 of 2: 4 of 4 evaluations" in printed
    assert video.read_image("sheet.png").shape[1] > 0


def test_random_weights_and_the_other_options_run(capsys):
    options = "--fps 8 --guidance 1 --guidance-rescale 0.5 --vae-tile 64 --quantize int8 -o x.mp4"
    status, printed = generate(capsys, f"{SMALL} {options}")
    assert status == 0, printed
    assert "The weights are random: the picture will be noise." in printed
    assert "denoising video 1 of 1: 2 of 2 evaluations" in printed
    assert video.read_video("x.mp4").fps == 8


@pytest.mark.parametrize("name", CONTENTV_SIZES)
def test_every_shape_has_its_name(name):
    requests = []

    def run(request):
        requests.append(request)
        return iter(())

    pipeline = types.SimpleNamespace(run=run)
    arguments = ["generate", "--model", "contentv", "--size", name, "a boat"]
    make_videos = generate_contentv.prepare(cli._parser("generate").parse_args(arguments))
    assert not requests
    make_videos(pipeline)
    (request,) = requests
    assert (request.size.width_px, request.size.height_px) == CONTENTV_SIZES[name]
    assert (request.size.frames, request.steps, request.guidance.scale) == (125, 50, 6.0)


def test_every_model_tells_its_defaults():
    for system in generators().values():
        assert set(system.DEFAULTS) == set(OF_MODEL)
