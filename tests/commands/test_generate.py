# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import importlib.resources
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from mugv_jax import cli, video
from mugv_jax.commands import generate_mugv
from mugv_jax.systems.mugv import windows
from mugv_jax.video.contact_sheet import GAP_PX
from tests.systems.mugv.folders import write_config, write_published
from tests.video.made import tagged, write_frames

CODED_LEVELS = 4  # of 256: mean loss of a smooth picture by x264 and 4:2:0 colour


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of pictures, videos and sizes; every test runs in it."""
    folder = tmp_path_factory.mktemp("generate")
    noise = np.random.default_rng(0).integers(0, 256, (17, 32, 48, 3), np.uint8)
    video.write_video(folder / "clip.mp4", noise, 20)
    smooth = np.linspace((0, 40, 80), (160, 200, 240), 32 * 48).reshape(32, 48, 3)
    Image.fromarray(smooth.astype(np.uint8)).save(folder / "image.png")
    whole = (folder / "image.png").read_bytes()
    (folder / "corrupt.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("1", (16_000, 10_000)).save(folder / "huge.png")
    (folder / "text.mp4").write_text("no video")
    write_config(folder / "small.py")
    return folder


@pytest.fixture(scope="module")
def weights(folder):
    """Published files, the same with a truncated dit.pt, and sizes that do not match."""
    (folder / "published").mkdir()
    write_published(folder / "published")
    truncated = shutil.copytree(folder / "published", folder / "truncated")
    content = (truncated / "dit.pt").read_bytes()
    (truncated / "dit.pt").write_bytes(content[: len(content) // 2])
    write_config(folder / "other.py", depth=3)


@pytest.fixture(autouse=True)
def _inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


SMALL = (
    "--random-weights --config small.py --size 48x32 --frames 17 --steps 2 --compile-cache cache"
)


def generate(capsys, options: str, *prompts: str) -> tuple[int, str]:
    """Exit status and stderr of a run with the small system."""
    try:
        status = cli.main(["generate", *(prompts or ("a boat",)), *shlex.split(options)])
    except SystemExit as stopped:
        status = stopped.code
    return status, capsys.readouterr().err


def refusals(text: str) -> list[tuple[str, str]]:
    """Lines of "options -> message"."""
    return [tuple(line.strip().split(" -> ")) for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    ("options", "message"),
    refusals(
        """
        --size 50x32 -> width=50 must be a positive multiple of 8
        --size=-8x32 -> must be WIDTHxHEIGHT
        --size -8x32 -> is written --option=VALUE
        --frames 18 -> the nearest are 17 and 25
        --frames -1 -> frames=-1 must be 8k+1
        --frames soon -> frames 'soon' must be a whole number
        --steps 0 -> steps=0 must be at least 1
        --steps 2.5 -> argument --steps: invalid int value: '2.5'
        --guidance nan -> guidance=nan must be a finite number
        --guidance inf -> guidance=inf must be a finite number
        --guidance -1 -> guidance scale=-1.0
        --guidance-rescale nan -> guidance_rescale=nan
        --guidance-interval 0.9,nan -> guidance interval=0.9,nan
        --guidance-interval 1 -> guidance interval '1' must be LOW,HIGH
        --quantize int4 -> argument --quantize: invalid choice: 'int4'
        --reuse-threshold -1 -> reuse threshold=-1.0 must be a number from 0 up
        --reuse-threshold nan -> reuse_threshold=nan
        --fps 0.5 -> fps=0.5 must lie in 1 to 1000
        --conditioning-fps inf -> conditioning_fps=inf
        --aesthetic-score nan -> aesthetic_score=nan
        --aesthetic-score high -> 'high' must be a number from 0 to 10, or none
        --seed -1 -> seed=-1
        --seed 4294967296 -> seed=4294967296 is too large: it must be at most 4,294,967,295
        --strength 0.5 -> --strength says how to use --init-video
        --continue-frames 9 -> --continue-frames says how to use --continue-video
        --init-video clip.mp4 --strength nan -> strength=nan
        --init-video text.mp4 -> video 'text.mp4' is damaged or no video
        --init-video clip.mp4 --frames 25 -> 17 frames at 20 per second, but 25 are needed
        --continue-video clip.mp4 -> leaves nothing to generate of 17 frames
        --image image.png --last-image image.png --frames 9 -> none is left to generate
        --image missing.png -> image 'missing.png' does not exist
        --image corrupt.png -> image 'corrupt.png' is damaged
        --image dot.png -> is 1x1 pixels: at least 16
        --image huge.png -> 16000x10000 pixels: at most 150 million
        --image '' -> argument --image: is empty
        --keyframe 9 -> keyframe '9' must be FRAME=IMAGE
        --keyframe 9= -> keyframe '9=' must be FRAME=IMAGE
        --keyframe 9=image.png --keyframe 9=image.png -> keyframe 9 is given twice
        --keyframe 17=image.png -> frame 17 does not exist
        --image image.png --keyframe 0=image.png -> fall on the same latent frame
        --keyframe=-17=image.png -> with frames from 0 up
        --mesh data=3,tensor=4 -> needs 12 devices, but there are 8
        --mesh data -> write axes as data=2
        --vae-tile 100 -> vae tile=100 must be a multiple of 8 pixels from 64 up
        --vae-tile -64 -> vae tile=-64
        --dtype float16 -> invalid choice: 'float16'
        --config missing.py -> config missing.py is not a file
        --weights . -> --weights and --random-weights exclude each other
        --tokenizer . -> --tokenizer and --random-weights exclude each other
        --output video.avi -> must end in .mp4, .mov, .mkv
        --contact-sheet sheet.jpg -> output 'sheet.jpg' must end in .png
        --contact-sheet '' -> argument --contact-sheet: is empty
        --upscale 0 -> upscale=0 must be a whole number from 1 up
        --output image.png/video.mp4 -> cannot be written
        --compile-cache image.png -> compile cache 'image.png' cannot be written
        --sed 3 -> unrecognized arguments: --sed (did you mean --seed?); see
        --width 64 --height 32 -> --width (here it is --size WIDTHxHEIGHT, such as
        --cpu_offload -> (here it is models are loaded one at a time anyway
        --keyframe x --keyframe 40=image.png --keyframe 9=no.png -> keyframe 'x' must be FRAME=
        --keyframe x --keyframe 40=image.png --keyframe 9=no.png -> keyframe 9: 'no.png' does not
        --keyframe x --keyframe 40=image.png --keyframe 9=no.png -> frame 40 does not exist in
        --keyframe 1=image.png --keyframe 8=dot.png -> fall on the same latent frame (frames 1 to 8
        --keyframe 9=dot.png --last-image corrupt.png --frames 25 -> is 1x1 pixels: at least 16
        --keyframe 9=dot.png --last-image corrupt.png --frames 25 -> image 'corrupt.png' is damaged
        --image image.png --fit squeeze -> argument --fit: invalid choice: 'squeeze'
        --output clip.mp4 -> output 'clip.mp4' exists: give --overwrite to replace it, or another
        --contact-sheet image.png -> --contact-sheet 'image.png' exists: give --overwrite
        """
    ),
)
def test_a_mistake_is_one_line_before_anything_is_loaded(options, message, capsys, monkeypatch):
    monkeypatch.setattr("mugv_jax.systems.mugv.pipeline.MugvPipeline.run", None)
    status, printed = generate(capsys, f"{SMALL} -o new/refused.mp4 {options}")
    assert status == 2
    assert message in printed
    assert printed.count("\n") == 1
    assert printed.startswith("mugv-jax generate: ")


@pytest.mark.parametrize("prompts", [("",), (" \n\t",), ("a boat", "")])
def test_an_empty_prompt_is_refused(prompts, capsys):
    status, printed = generate(capsys, SMALL, *prompts)
    assert status == 2
    assert (
        printed
        == f"mugv-jax generate: prompt {len(prompts)} is empty: describe the video in words.\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--random-weights", "--random-weights needs --config"),
        ("--weights .", "holds no mugv_dit weights"),
        ("--weights image.png", "is a file: give the folder"),
        (
            "--weights published --config other.py",
            "dit.pt has other sizes than the config: depth=2",
        ),
        ("--weights truncated", "truncated/dit.pt: the file ends too early"),
    ],
)
@pytest.mark.usefixtures("weights")
def test_weights_that_cannot_be_used_are_one_line(options, message, capsys):
    status, printed = generate(capsys, f"{options} --compile-cache cache")
    assert status == 2
    assert message in printed
    assert printed.count("\n") == 1


def test_a_video_of_another_rate_and_colours_is_told(folder, capsys):
    grey = np.full((32, 48, 3), 148, np.uint8)
    frame = tagged(grey, "yuv420p10le", matrix=9, primaries=9, transfer=16)
    write_frames(folder / "fast.mkv", [frame] * 51, rate=60)
    status, printed = generate(capsys, f"{SMALL} --init-video fast.mkv --contact-sheet a.jpg")
    assert status == 2
    *notes, refusal = printed.splitlines()
    assert "must end in" in refusal
    assert [note.partition(":")[0] for note in notes] == [
        "'fast.mkv' has 60 frames per second",
        "'fast.mkv' is HDR (PQ)",
    ]


def test_an_image_and_a_prompt_become_a_video_that_plays(folder, capsys):
    output = folder / "new" / "folder" / "boat.mp4"
    status, printed = generate(capsys, f"{SMALL} --image image.png --fps 12 -o {output}")
    assert status == 0
    frames, fps = video.read_video(output)
    assert (frames.shape, fps) == ((17, 32, 48, 3), 12)
    image = video.read_image("image.png").astype(int)
    assert np.mean(np.abs(frames[0] - image)) < CODED_LEVELS
    assert np.mean(np.abs(frames[1] - image)) > CODED_LEVELS
    assert "The weights are random: the picture will be noise." in printed
    assert f"wrote {output}: 17 frames at 12 per second" in printed
    assert "video 1 of 1: 4 of 4 evaluations" in printed
    assert 0.1 < float(re.search(r"peak memory of the process: (\S+) GiB", printed)[1]) < 100
    assert [path.name for path in output.parent.iterdir()] == ["boat.mp4"]
    assert jax.config.jax_compilation_cache_dir == str(folder / "cache")


@pytest.fixture
def demo(folder, weights, tmp_path, monkeypatch):
    """A package whose demo is the small system; it makes 9 frames of 48x32."""
    assert weights is None
    installed = tmp_path / "assets" / "demo"
    shutil.copytree(folder / "published", installed)
    defaults = {"size": "48x32", "frames": 9, "fps": 8, "steps": 1, "negative_prompt": ""}
    (installed / "defaults.json").write_text(json.dumps(defaults))
    monkeypatch.setattr(importlib.resources, "files", {"mugv_jax": tmp_path}.__getitem__)
    return installed


@pytest.mark.usefixtures("demo")
def test_without_weights_the_demo_is_used_with_its_defaults(capsys):
    options = "--compile-cache cache --upscale 2 --contact-sheet sheets/demo.png -o demo.mp4"
    status, printed = generate(capsys, options, "a red star moves left", "a ball grows")
    assert status == 0
    assert "No --weights, so the demo model is used. It knows the shapes ball, box," in printed
    assert "the colours red, " in printed
    assert "the motions left, " in printed
    assert "video 1 of 2: 2 of 2 evaluations" in printed
    frames, fps = video.read_video("demo_1.mp4")
    assert (frames.shape, fps) == ((9, 64, 96, 3), 8)
    assert "wrote sheets/demo.png" in printed
    sheet = video.read_image("sheets/demo.png")
    height, width = 32 * 4, 48 * 4
    assert sheet.shape == (2 * height + GAP_PX, 8 * width + 7 * GAP_PX, 3)


@pytest.mark.usefixtures("demo")
def test_the_demo_sets_a_picture_in_motion_and_options_come_before_defaults(folder, capsys):
    options = "--compile-cache cache --image image.png --steps 2 --contact-sheet one.png -o one.mp4"
    status, printed = generate(capsys, options, "a ball grows")
    assert status == 0
    assert "video 1 of 1: 4 of 4 evaluations" in printed
    assert video.read_video("one.mp4").frames.shape == (9, 32, 48, 3)
    shown = video.read_image("one.png")[: 32 * 4 : 4, : 48 * 4 : 4]
    np.testing.assert_array_equal(shown, video.read_image(folder / "image.png"))


def test_defaults_that_cannot_be_used_are_one_line(demo, capsys):
    (demo / "defaults.json").write_text('{"steps": "many"}')
    status, printed = generate(capsys, "")
    assert status == 2
    assert 'defaults.json: steps="many" must be a whole number.' in printed
    assert printed.count("\n") == 1
    shutil.rmtree(demo)
    status, printed = generate(capsys, "")
    assert status == 2
    assert "no weights: this installation lacks those of the demo" in printed
    assert printed.count("\n") == 1


def test_what_was_cut_from_a_long_prompt_is_shown(capsys):
    prompt = "boats " * 100 + "and a lighthouse"
    status, printed = generate(capsys, f"{SMALL} -o long.mp4", prompt)
    assert status == 0
    assert "The prompt has 639 tokens, the model reads 300." in printed
    assert "339 tokens were cut off before 'aesthetic score: 6.0.', which is kept" in printed
    assert "and a lighthouse'" in printed


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), (130, "interrupted; what was finished is kept")),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
            (2, "mugv-jax generate: the device ran out of memory: ask for a smaller --size"),
        ),
    ],
    ids=["interrupt", "out of memory"],
)
def test_videos_finished_before_a_failure_are_kept(error, expected, folder, capsys, monkeypatch):
    decode, calls = windows.decode_in_steps, []

    def failing(*arguments, **options):
        calls.append(None)
        if len(calls) > 2:  # the first latent and the others of the first video
            raise error
        return decode(*arguments, **options)

    monkeypatch.setattr(windows, "decode_in_steps", failing)
    (folder / "several_0.mp4").unlink(missing_ok=True)
    (folder / "several_1.mp4").write_bytes(b"the older video")
    status, printed = generate(capsys, f"{SMALL} -o several.mp4 --overwrite", "a boat", "a cat")
    assert status == expected[0]
    assert expected[1] in printed
    assert len(video.read_video("several_0.mp4").frames) == 17
    assert (folder / "several_1.mp4").read_bytes() == b"the older video"
    assert not list(folder.glob(".several*"))


@pytest.fixture
def interruptible():
    """Makes started processes react to SIGINT, which shells let background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_sampling_leaves_what_was_there(folder):
    (folder / "there.mp4").write_bytes(b"the older video")
    options = SMALL.replace("--compile-cache cache", "--steps 1000000 --overwrite -o there.mp4")
    command = [sys.executable, "-m", "mugv_jax.cli", "generate", "a boat", *shlex.split(options)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        printed = b""
        while not re.search(rb": [1-9][\d,]* of 1,000,000 steps", printed):
            piece = process.stderr.read1(4096)
            assert piece, printed.decode()
            printed += piece
        process.send_signal(signal.SIGINT)
        printed += process.stderr.read()
    assert process.returncode == 130
    assert printed.decode().endswith(
        "\ninterrupted; what was finished is kept, nothing is half-written.\n"
    )
    assert b"Traceback" not in printed
    assert (folder / "there.mp4").read_bytes() == b"the older video"
    assert not list(folder.glob(".there*"))


def test_a_cache_that_nobody_asked_for_need_not_be_writable(folder, capsys, monkeypatch):
    monkeypatch.setattr("mugv_jax.systems.compile_cache.COMPILE_CACHE", str(folder / "image.png"))
    jax.config.update("jax_compilation_cache_dir", None)
    options = SMALL.replace("--compile-cache cache", "")
    status, printed = generate(capsys, f"{options} --guidance 1 -o plain.mp4")
    assert status == 0
    assert "cannot be written: File exists. Programs will be compiled anew" in printed


def test_an_adapter_of_few_steps_says_how_it_is_sampled(tmp_path):
    (tmp_path / "few").mkdir()
    few = {"steps": 2, "guidance": 1, "renoise": True}
    (tmp_path / "few/defaults.json").write_text(json.dumps(few))

    class Pipeline:
        def run(self, request, given):
            assert len(given) == 1
            return request

    def asked(*options):
        words = ["generate", "--lora", str(tmp_path / "few"), *options, "a red star"]
        args = cli._parser("generate").parse_args(words)
        return generate_mugv.prepare(args)(Pipeline())

    request = asked()
    assert (request.steps, request.guidance.scale, request.renoise) == (2, 1.0, True)
    assert request.size.width_px == 64  # of the demo's weights
    request = asked("--steps", "4", "--guidance", "3", "--renoise", "off")
    assert (request.steps, request.guidance.scale, request.renoise) == (4, 3.0, False)
    request = asked("--times", "1,0.7,0.2")
    np.testing.assert_array_equal(request.schedule(), np.float32([1, 0.7, 0.2, 0]))
