# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import csv
import json

import numpy as np
import pytest

from mugv_jax import cli
from mugv_jax.commands import demo
from mugv_jax.data.captions import read_captions
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.demo.export import DEFAULTS
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import Format
from mugv_jax.systems.mugv.models import find_weights

FORMAT = Format(height_px=64, width_px=80, frames=9, fps=12.5)


def test_written_clips_are_read_for_encoding_without_loss(tmp_path):
    out = tmp_path / "new" / "set"
    options = ["--split=unseen", "--count=3", "--seed=4", "--size=80x64", "--frames=9"]
    assert cli.main(["demo", "world", *options, "--fps=12.5", f"--out={out}"]) == 0
    entries = read_captions(out / "captions.csv")
    clips = DemoClips(split="unseen", count=3, seed=4, format=FORMAT)
    assert [entry.id for entry in entries] == [f"unseen-{number:06d}" for number in range(3)]
    rule = ClipRule(fps=24, size=(80, 64))
    with open(out / "captions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, (entry, row) in enumerate(zip(entries, rows, strict=True)):
        clip, read = clips[number], read_clip(entry.path, rule)
        np.testing.assert_array_equal(read.frames, clip.video)
        assert (read.fps, entry.caption) == (FORMAT.fps, clip.caption)
        assert clip.attributes.items() <= row.items()


def test_a_text_encoder_is_written_and_scored(tmp_path, capsys):
    for name in ("dit", "vae"):
        (tmp_path / name).mkdir()
    out = tmp_path / "text_encoder"
    few = ["--steps=2", "--captions=1000", "--probes=64"]
    assert cli.main(["demo", "text", f"--out={out}", *few]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {"full", "small"}
    assert scores["small"]["probe"]["unseen"].keys() == {"shape", "colour", "motion"}
    paths = find_weights(tmp_path)
    assert paths["text"] == paths["tokenizer"] == out


def test_exported_files_are_listed_with_their_sizes(tmp_path, monkeypatch, capsys):
    received = {}

    def export(*folders, defaults):
        received["folders"], received["defaults"] = folders, defaults
        return {"dit.safetensors": 2_500_000, "defaults.json": 10_000}

    monkeypatch.setattr(demo.export, "export", export)
    folders = tuple(tmp_path / name for name in ("dit", "vae", "text", "out"))
    options = [f"--{path.name}={path}" for path in folders]
    assert cli.main(["demo", "export", *options, "--guidance=2.5"]) == 0
    assert received == {"folders": folders, "defaults": DEFAULTS | {"guidance": 2.5}}
    assert capsys.readouterr().out.splitlines() == [
        "  2.50 MB  dit.safetensors",
        "  0.01 MB  defaults.json",
        f"  2.51 MB  {folders[-1]}",
    ]


@pytest.fixture
def commands(monkeypatch):
    """Arguments of the commands that training would run."""
    found = []
    main = cli.main
    monkeypatch.setattr(cli, "main", lambda arguments: found.append(arguments) or 0)
    monkeypatch.setattr(demo.recipe, "render_world", lambda _, **_options: None)
    return main, found


def test_training_runs_commands_that_exist(commands, tmp_path):
    main, found = commands
    for folder in ("world/demo_world/1.0.0", "two_steps", "assets/few_steps"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "two_steps" / "defaults.json").write_text('{"steps": 2}')
    assert main(["demo", "train", f"--out={tmp_path}", f"--assets={tmp_path / 'assets'}"]) == 0
    assert (tmp_path / "assets" / "few_steps" / "defaults.json").read_text() == '{"steps": 2}'
    assert found[-1][:2] == ["eval", "demo"]
    for words in found:
        arguments = [word for word in words if not word.startswith(cli.OVERRIDE)]
        cli._parser(words[0]).parse_args(arguments)
    before = len(found)
    assert main(["demo", "train", f"--out={tmp_path}"]) == 0
    assert len(found) == before


def test_a_failed_stage_ends_training_with_its_status(commands, tmp_path, monkeypatch):
    main, _ = commands
    monkeypatch.setattr(cli, "main", lambda _: 130)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "train", f"--out={tmp_path}", "--until=text"])
    assert stop.value.code == 130
    assert {path.name for path in tmp_path.glob("*.done")} == {"world.done"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "the following arguments are required: action"),
        ("world --split train --count 1", "the following arguments are required: -o/--output"),
        ("world --split train --count 1 --out x --frames 16", "frames=16 must be 8k+1"),
        ("world --split train --count 1 --out x --size 48x48", "height_px=48 must be 64, 80 or"),
        ("world --split test --count 1 --out x", "argument --split: invalid choice: 'test'"),
        ("text --out . --steps 0", "steps=0 must be at least 1"),
        ("text --out . --probes 7", "--probes=7 must be at least 8"),
        ("text --out .", "model.safetensors exists; pass --overwrite"),
        ("export --dit a --vae b --text c --out x", "a: "),
        ("export --dit a --vae b --text c --out=", "argument -o/--output: is empty"),
        ("train --out x --until sunset", "argument --until: invalid choice: 'sunset'"),
    ],
)
def test_a_mistake_is_one_line(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    try:
        status = cli.main(["demo", *options.split()])
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr().err
    assert status == 2
    assert message in printed
    assert printed.startswith("mugv-jax demo")
    assert printed.count("\n") == 1
