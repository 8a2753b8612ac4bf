# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import xml.etree.ElementTree as ET

import pytest

from mugv_jax.demo.eval.answers import Answer
from mugv_jax.demo.eval.score import SPLITS, score
from tools import plot_demo

STAR = ("star", "red", "left")


def scores(tasks, right):
    """Scores of ten clips of each task and split."""
    return score(
        Answer(
            seed=1, task=task, split=split, clip=number, caption="", asked=STAR,
            read=STAR if number < right else None,
        )
        for task in tasks
        for split in SPLITS
        for number in range(10)
    )  # fmt: skip


def write(folder, name, entries):
    report = {"sweep": name, "entries": [{"value": v, "scores": s} for v, s in entries]}
    (folder / f"sweep_{name}.json").write_text(json.dumps(report))


def elements(path):
    """(tag, element) of a picture."""
    return [(element.tag.rpartition("}")[2], element) for element in ET.parse(path).iter()]


def test_every_sweep_of_a_folder_is_drawn_with_its_intervals(tmp_path, capsys):
    write(tmp_path, "steps", [(4, scores(["t2v"], 5)), (8, scores(["t2v"], 9))])
    tasks = ["t2v", "i2v"]
    write(tmp_path, "guidance", [(v, scores(tasks, 8)) for v in (1.0, 2.5, 4.0)])
    assert plot_demo.main([str(tmp_path)]) == 0
    pictures = [tmp_path / "sweep_guidance.svg", tmp_path / "sweep_steps.svg"]
    assert capsys.readouterr().out.split() == list(map(str, pictures))
    found = elements(pictures[0])
    assert [tag for tag, _ in found].count("circle") == 3 * 2 * 2 * 4
    texts = [element.text for tag, element in found if tag == "text"]
    assert {"1", "2.5", "4", "image to video, unseen combinations"} <= set(texts)


def test_more_right_is_higher_and_an_interval_holds_its_point(tmp_path):
    write(tmp_path, "steps", [(4, scores(["t2v"], 5)), (8, scores(["t2v"], 9))])
    plot_demo.main([str(tmp_path)])
    found = elements(tmp_path / "sweep_steps.svg")
    points = [element for tag, element in found if tag == "circle"]
    assert float(points[0].get("cy")) > float(points[1].get("cy"))
    uprights = {
        (line.get("x1"), line.get("stroke")): line
        for tag, line in found
        if tag == "line" and line.get("x1") == line.get("x2")
    }
    for point in points:
        line = uprights[point.get("cx"), point.get("fill")]
        assert float(line.get("y1")) > float(point.get("cy")) > float(line.get("y2"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [(None, "holds no sweep_"), ([(4, {}), (8, {})], "no task was measured at every value")],
)
def test_nothing_to_draw_is_said(entries, message, tmp_path, capsys):
    if entries:
        write(tmp_path, "steps", entries)
    with pytest.raises(SystemExit) as stopped:
        plot_demo.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
