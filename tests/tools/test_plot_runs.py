# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import xml.etree.ElementTree as ET

import pytest

from tools import plot_runs


def write(folder, values, metric="validation/loss"):
    """Writes a run with these (step, value)."""
    folder.mkdir()
    lines = [{"step": step, metric: value} for step, value in values]
    lines.append({"step": 1, "train/other": 3.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_values_are_in_order_and_those_of_a_step_taken_again_count(tmp_path):
    run = write(tmp_path / "run", [(10, 5.0), (20, 4.0), (10, 3.0)])
    assert plot_runs.read(run, "validation/loss") == [(10, 3.0), (20, 4.0)]
    assert plot_runs.read(run, "validation/loss", smooth=2) == [(10, 3.0), (20, 3.5)]


def test_a_curve_falls_where_its_values_do(tmp_path, capsys):
    one = write(tmp_path / "one", [(10, 5.0), (20, 4.0), (40, 1.5)])
    two = write(tmp_path / "two", [(10, 5.5)])
    out = tmp_path / "curves.svg"
    command = [f"one={one}", f"two={two}", "--metric", "validation/loss", "--title", "Loss"]
    assert plot_runs.main([*command, "--svg", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    elements = [(each.tag.rpartition("}")[2], each) for each in ET.parse(out).iter()]
    curves = [each.get("points").split() for tag, each in elements if tag == "polyline"]
    assert [len(curve) for curve in curves] == [3, 1]
    xs, ys = zip(*(map(float, point.split(",")) for point in curves[0]), strict=True)
    assert sorted(xs) == [*xs]
    assert sorted(ys) == [*ys]  # y grows downwards
    assert {"Loss", "one", "two", "steps"} <= {each.text for tag, each in elements if tag == "text"}


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (27.1, 31.9, [27, 28, 29, 30, 31, 32]), (3, 3, [3, 4])],
)
def test_ticks_are_round_and_hold_all_values(low, high, ticks):
    assert plot_runs._ticks(low, high) == ticks


def test_what_cannot_be_drawn_says_why(tmp_path, capsys):
    run = write(tmp_path / "run", [(10, 5.0)])
    for runs, words in (
        ([f"one={run}", "--metric", "validation/psnr"], "it has train/other, validation/loss"),
        ([str(run), "--metric", "validation/loss"], "must be NAME=RUN"),
        ([f"one={tmp_path}", "--metric", "validation/loss"], "does not exist"),
        ([f"one={run}", "--metric", "validation/loss", "--smooth", "0"], "at least 1"),
    ):
        with pytest.raises(SystemExit):
            plot_runs.main([*runs, "--title", "Loss", "--svg", str(tmp_path / "x.svg")])
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x.svg").exists()
