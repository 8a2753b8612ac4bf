# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import csv

import numpy as np
import pytest

from mugv_jax.data.captions import read_captions
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.demo.world import command as demo_world
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import Format

FORMAT = Format(height_px=64, width_px=80, frames=9, fps=12.5)


def test_what_is_written_is_read_for_encoding_without_loss(tmp_path):
    sizes = ["--height-px", "64", "--width-px", "80", "--frames", "9", "--fps", "12.5"]
    out = ["--out", str(tmp_path / "new" / "set")]
    assert demo_world.main(["--split", "unseen", "--count", "3", "--seed", "4", *sizes, *out]) == 0
    written = tmp_path / "new" / "set" / "captions.csv"
    entries = read_captions(written)
    clips = DemoClips(split="unseen", count=3, seed=4, format=FORMAT)
    assert [entry.id for entry in entries] == [f"unseen-{number:06d}" for number in range(3)]
    rule = ClipRule(fps=24, size=(80, 64))
    with open(written, newline="") as file:
        rows = list(csv.DictReader(file))
    for number, (entry, row) in enumerate(zip(entries, rows, strict=True)):
        clip, read = clips[number], read_clip(entry.path, rule)
        np.testing.assert_array_equal(read.frames, clip.video)
        assert (read.fps, entry.caption) == (FORMAT.fps, clip.caption)
        assert clip.attributes.items() <= row.items()


def test_mistakes_are_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        demo_world.main(
            ["--split", "train", "--count", "1", "--frames", "16", "--out", str(tmp_path)]
        )
    assert stop.value.code == 2
    assert "frames=16 must be 8k+1" in capsys.readouterr().err
