# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import resource
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from mugv_jax import cli, video
from mugv_jax.systems.enhancer.pipeline import EnhancerPipeline
from tests.systems.enhancer.folders import write_published
from tests.systems.mugv.folders import write_config
from tests.video.numbered import write_timed

OPTIONS = "--lora-alpha 1.5 --window 5 --overlap 2 --compile-cache cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of weights and videos, one of them broken; every test runs in it."""
    folder = tmp_path_factory.mktemp("enhance")
    (folder / "weights").mkdir()
    write_published(folder / "weights")
    (folder / "clips").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (6, 16, 20, 3), np.uint8)
    for name in "ac":
        video.write_video(folder / "clips" / f"{name}.mp4", noise, 12)
    (folder / "clips" / "b.mp4").write_text("no video")
    write_timed(folder / "hourly.mkv", [0, 3_600_000, 7_200_000], 1)
    return folder


@pytest.fixture(autouse=True)
def _inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def enhance(words):
    return cli.main(["enhance", *shlex.split(words)])


def test_one_video(capsys):
    assert enhance(f"--weights weights --video clips/a.mp4 --out one.mp4 --compare {OPTIONS}") == 0
    made, pair = (video.read_video(name) for name in ("one.mp4", "one_compare.mp4"))
    assert (made.frames.shape, made.fps) == ((6, 16, 20, 3), 12.0)
    assert pair.frames.shape[:2] == (6, 16)
    assert pair.frames.shape[2] >= 40
    said = capsys.readouterr().err
    assert "wrote one.mp4: 6 frames at 12 per second; PSNR to the input" in said
    assert enhance(f"--weights absent --video clips/a.mp4 --out one.mp4 --compare {OPTIONS}") == 0
    assert "1 of 1 are there already" in capsys.readouterr().err


def test_a_folder_goes_on_where_it_was(capsys, monkeypatch):
    words = f"--weights weights --video clips --out many {OPTIONS}"
    assert enhance(words) == 1
    said = capsys.readouterr().err
    assert "not enhanced: clips/b.mp4: video 'clips/b.mp4' is damaged or no video" in said
    listed = list(map(json.loads, Path("many/enhanced.jsonl").read_text().splitlines()))
    assert [line["output"] for line in listed] == ["many/a.mp4", "many/c.mp4"]
    assert listed[0]["frames"] == 6
    assert listed[0]["psnr"] == listed[1]["psnr"]
    first = Path("many/a.mp4").read_bytes()
    made = []
    run = EnhancerPipeline.run
    monkeypatch.setattr(EnhancerPipeline, "run", lambda *a, **k: made.append(0) or run(*a, **k))
    assert enhance(words) == 1
    assert not made  # only the unreadable file is tried again
    assert enhance(f"{words} --overwrite") == 1
    assert len(made) == 2
    assert Path("many/a.mp4").read_bytes() == first


def test_a_full_disk_ends_the_work_on_all_files(capsys):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        assert enhance(f"--weights weights --video clips --out full {OPTIONS}") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    said = capsys.readouterr().err
    assert said.rstrip().endswith("output 'full/a.mp4' cannot be written: File too large.")
    assert "c.mp4" not in said
    assert not [path for path in Path("full").rglob("*") if path.suffix != ".lock"]


def test_a_list_of_one_video_is_a_list(capsys, folder):
    (folder / "one.csv").write_text("file_name\nclips/b.mp4\n")
    assert enhance(f"--weights weights --video one.csv --out listed {OPTIONS}") == 1
    assert "not enhanced: clips/b.mp4: video" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--video clips/a.mp4 --out x.mp4", "no weights: give --weights FOLDER"),
        ("--weights weights --video clips/b.mp4 --out x.mp4 --lora-alpha 1", "clips/b.mp4' is dam"),
        ("--weights weights --video no.mp4 --out x.mp4 --lora-alpha 1", "no.mp4' does not exist"),
        ("--weights weights --video clips/a.mp4 --out x.gif --lora-alpha 1", "must end in .mp4"),
        ("--weights weights --video hourly.mkv --out x.mp4", "fps=0.00027778 must lie in 1 to"),
        ("--weights weights --video clips --out x.mp4", "must be a folder: there are several"),
        ("--weights weights --video clips/a.mp4 --out x.mp4", "rank 3"),
        ("--weights weights --video clips/a.mp4 --out x.mp4 --sigma 2", "sigma=2 is too large"),
        (
            "--weights clips --wan weights --video clips/a.mp4 --out x.mp4",
            "no enhancer's DiT",
        ),
        ("--random-weights --video clips/a.mp4 --out x.mp4", "--random-weights needs --config"),
        ("--random-weights --wan w --video clips/a.mp4 --out x.mp4", "exclude each other"),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys, folder):
    assert enhance(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.strip().count("\n") <= 1  # a progress bar may have started
    assert not list(folder.glob("x.*"))
    assert not list(folder.glob(".x*"))


def test_a_generated_video_is_enhanced_before_it_is_there(tmp_path, capsys):
    write_config(tmp_path / "small.py")
    words = f"--random-weights --config {tmp_path}/small.py --size 16x16 --frames 9 --steps 1"
    words += " --compile-cache cache a"

    def made(more):
        assert (
            cli.main(["generate", *shlex.split(f"{words} {more} --overwrite -o {tmp_path}/x.mp4")])
            == 0
        )
        return video.read_video(tmp_path / "x.mp4")

    plain = made("")
    enhancer = shutil.copytree("weights", tmp_path / "enhancer")
    (enhancer / "pytorch_model.bin").unlink()  # a rank without a known alpha
    better = made(f"--enhance --enhancer {enhancer}")
    assert (better.frames.shape, better.fps) == (plain.frames.shape, plain.fps)
    assert not np.array_equal(better.frames, plain.frames)
    for more, message in (
        ("--enhancer weights", "--enhancer says how to enhance: give --enhance as well"),
        ("--enhance", "--enhance needs the enhancer's weights: give --enhancer FOLDER"),
        ("--enhance --enhancer clips", "no enhancer's DiT"),
    ):
        assert cli.main(["generate", *shlex.split(f"{words} {more} -o {tmp_path}/y.mp4")]) == 2
        assert message in capsys.readouterr().err


def test_the_result_says_how_it_and_its_source_were_made(tmp_path, capsys):
    source = tmp_path / "source.mp4"
    video.Video(np.zeros((5, 16, 16, 3), np.uint8), 8, {"prompt": "a boat"}).save(source)
    for name, more in (("traced", ""), ("silent", "--no-metadata")):
        out = tmp_path / f"{name}.mp4"
        assert enhance(f"--weights weights --video {source} -o {out} {more} {OPTIONS}") == 0
    record = video.read_record(tmp_path / "traced.mp4")
    assert (record["system"], record["source"]) == ("enhancer", {"prompt": "a boat"})
    assert record["inputs"]["video"]["path"] == str(source)
    assert video.read_record(tmp_path / "silent.mp4") is None
    capsys.readouterr()
    assert cli.main(["generate", "--like", str(tmp_path / "traced.mp4")]) == 2
    assert "was made by enhancer, which generates nothing" in capsys.readouterr().err
