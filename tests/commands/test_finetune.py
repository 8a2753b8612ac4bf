# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax finetune` turns a folder of clips into an adapter that `generate` takes."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mugv_jax import MugvPipeline, Video, cli
from mugv_jax.systems.mugv.models import demo_weights

OPTIONS = ("--steps", "2", "--frames", "9", "--config.log.sample_every=2")


def clips(folder, count=3, captions=True):
    folder.mkdir()
    for number in range(count):
        frames = np.full((9, 64, 64, 3), 60 * number + 40, np.uint8)
        Video(frames, 8.0).save(folder / f"clip{number}.mp4")
        if captions:
            (folder / f"clip{number}.txt").write_text(f"a red can number {number}")
    return folder


def finetune(capsys, *arguments):
    status = cli.main(["finetune", *map(str, arguments)])
    return status, capsys.readouterr().err


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run, with two clips of the model's own."""
    root = tmp_path_factory.mktemp("finetune")
    clips(root / "clips")
    (root / "prompts.txt").write_text("a red ball moves left\n\na blue box moves up\n")
    words = ["finetune", root / "clips", "-o", root / "run", "--prior", root / "prompts.txt"]
    assert cli.main([*map(str, words), *OPTIONS]) == 0
    return root


def test_the_run_holds_an_adapter_pictures_and_metrics(done):
    run = done / "run"
    assert sorted(path.name for path in (run / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2]
    pictures = sorted((run / "pictures").iterdir())
    assert [path.name for path in pictures] == ["step_000002.png"]
    with Image.open(pictures[0]) as picture:
        assert picture.size[0] > 0
    assert len(list((run / "prior" / "latents").iterdir())) == 2


def test_the_run_and_its_adapter_change_the_model_alike(done):
    made = [
        MugvPipeline.from_pretrained(demo_weights(), lora=lora).generate(
            "a red can number 0", frames=9, steps=2, progress=False
        )
        for lora in (None, done / "run", done / "run" / "adapter")
    ]
    plain, run, adapter = (each.frames.astype(int) for each in made)
    assert np.abs(run - plain).max() > 0
    np.testing.assert_allclose(run, adapter, atol=1)


def test_nothing_is_done_twice(done, capsys):
    before = {path: path.stat().st_mtime_ns for path in (done / "run").rglob("*.pt")}
    status, said = finetune(
        capsys, done / "clips", "-o", done / "run", "--prior", done / "prompts.txt", *OPTIONS
    )
    assert status == 0
    assert "0 of 3 samples are to be encoded" in said
    assert "0 of them were made now" in said
    assert "compiling the step" not in said
    assert before == {path: path.stat().st_mtime_ns for path in (done / "run").rglob("*.pt")}


@pytest.mark.parametrize(
    ("captions", "options", "message"),
    [
        (True, ("--size", "65x64"), "multiples of 16"),
        (True, ("--frames", "0"), "must lie in 1 to"),
        (True, ("--prior", "missing.txt"), "'missing.txt' does not exist"),
        (True, ("--steps", "0"), "steps=0 must be at least 1"),
        (True, ("--rank", "0"), "rank=0 must be at least 1"),
        (True, ("--seed", "-1"), "seed=-1 must lie in"),
        (True, ("--config.lora.rank=0",), "lora.rank=0 trains all weights"),
        (True, ("--config.optimizer.rate=1",), "there is no 'rate'"),
        (True, ("--learning-rate", "-1"), "must be a positive number"),
        (True, ("--caption", " "), "--caption is empty"),
        (True, ("--weights", "missing"), "missing"),
        (False, (), "there is no clip0.txt beside the file"),
    ],
)
def test_mistakes_are_refused_before_anything_is_made(
    captions, options, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = clips(tmp_path / "clips", captions=captions)
    try:
        status, said = finetune(capsys, folder, "-o", "run", *options)
    except SystemExit as error:
        status, said = error.code, capsys.readouterr().err
    assert status == 2
    assert message in said
    assert not (tmp_path / "run").exists()


def test_one_caption_serves_all_and_a_list_in_the_folder_counts(tmp_path):
    from mugv_jax.data.captions import read_captions

    folder = clips(tmp_path / "clips", captions=False)
    assert {each.caption for each in read_captions(folder, "a style")} == {"a style"}
    (folder / "clip1.txt").write_text("its own")
    assert [each.caption for each in read_captions(folder, "a style")][1] == "its own"
    (folder / "metadata.csv").write_text("file_name,text\nclip2.mp4,of the list\n")
    assert [(e.path.name, e.caption) for e in read_captions(folder)] == [
        ("clip2.mp4", "of the list")
    ]
    shutil.rmtree(folder)
