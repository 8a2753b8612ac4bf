# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Totals of VBench, against the tables of the papers."""

import json
from pathlib import Path

import pytest

from mugv_jax.eval.vbench.suites import I2V, T2V, suite_of
from mugv_jax.eval.vbench.totals import read_results, total_score, totals, totals_text

ROUNDED = 0.02  # percent; the papers have two decimals
FOLDER = Path(__file__).parent
TABLE_1, TABLE_3 = (
    json.loads((FOLDER / name).read_text())["rows"]
    for name in ("vbench_i2v_table1.json", "vbench_table3.json")
)


def results(folder: Path, name: str, values: dict) -> Path:
    """Writes results in the form of VBench's tool."""
    path = folder / f"{name}_eval_results.json"
    path.write_text(json.dumps({k: [v, [{"video_path": "a", "video_results": v}]]
                                for k, v in values.items()}))  # fmt: skip
    return path


@pytest.mark.parametrize("model", TABLE_1)
def test_all_rows_of_mugvs_table_come_out(model, tmp_path):
    row = {name: value / 100 for name, value in TABLE_1[model].items()}
    scores = {name: row.pop(f"{name}_score") for name in ("i2v", "quality", "total")}
    dimensions = list(row.items())
    results(tmp_path, "first", dict(dimensions[:4]))
    results(tmp_path, "second", dict(dimensions[4:]))
    report = totals(read_results([tmp_path]))
    assert report["suite"] == "VBench-I2V"
    assert not report["missing"]
    for name, expected in scores.items():
        assert 100 * report["scores"][name] == pytest.approx(100 * expected, abs=ROUNDED)


@pytest.mark.parametrize("model", TABLE_3)
def test_all_totals_of_contentvs_table_come_out(model):
    """The table has 5 of the 16 dimensions, so that its group scores are taken as they are."""
    row = TABLE_3[model]
    found = total_score(T2V, {"quality": row["quality_score"], "semantic": row["semantic_score"]})
    assert found == pytest.approx(row["total_score"], abs=ROUNDED)


@pytest.mark.parametrize("model", TABLE_3)
def test_the_semantic_scores_of_contentvs_table_are_possible(model):
    """What the four semantic dimensions of the table leave open lies between 0 and the most."""
    row = {name: value / 100 for name, value in TABLE_3[model].items()}
    scores = []
    for other in (0.0, 1.0):
        values = {name: each.range[0] + other * (each.range[1] - each.range[0])
                  for name, each in T2V.groups["semantic"].dimensions.items()}  # fmt: skip
        known = {name: row[name] for name in values if name in row}
        assert len(known) == 4
        scores.append(totals({**values, **known})["scores"]["semantic"])
    assert scores[0] < row["semantic_score"] < scores[1]


def test_perfect_values_score_1_and_the_least_score_0():
    for suite in (T2V, I2V):
        each = {n: d for group in suite.groups.values() for n, d in group.dimensions.items()}
        for end, expected in ((0, 0), (1, 1)):
            report = totals({name: dimension.range[end] for name, dimension in each.items()})
            assert report["suite"] == suite.title
            assert list(report["scores"].values()) == pytest.approx([expected] * 3)
    assert len(T2V.dimensions) == 16
    assert len(I2V.dimensions) == 9


def test_scores_that_lack_a_dimension_are_none_and_say_so():
    values = dict.fromkeys(T2V.dimensions, 0.5)
    del values["scene"]
    report = totals(values)
    assert report["missing"] == ["scene"]
    assert report["scores"]["quality"] is not None
    assert report["scores"]["semantic"] is report["scores"]["total"] is None
    text = totals_text(report)
    assert "| semantic | lacks 1  |" in text
    assert "| total    | lacks 1  |" in text
    assert "\nmissing: scene\n" in text
    assert "| scene                  | missing  |" in text


def test_temporal_flickering_counts_in_vbench_only():
    assert suite_of(["temporal_flickering", "aesthetic_quality"]) is T2V
    assert suite_of(["temporal_flickering", "i2v_subject"]) is I2V
    values = dict.fromkeys(I2V.dimensions, 0.9)
    for more in ({}, {"temporal_flickering": 0.1}):
        assert totals(values | more)["scores"]["total"] == totals(values)["scores"]["total"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no results of VBench"),
        ("{}", "no results of VBench"),
        ('{"beauty": [0.5, []]}', "'beauty' is no dimension of VBench"),
        ('{"scene": [50.1, []]}', "scene is 50.1, but must be a share from 0 to 1"),
        ('{"scene": []}', r"scene is \[\], but must be"),
        ('{"scene": [null, []]}', "scene is None, but must be"),
        ('{"scene": [true, []]}', "scene is True, but must be"),
        ("{", "not JSON"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, content, message):
    path = tmp_path / "x_eval_results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_results([path])


def test_two_values_of_one_dimension_are_refused(tmp_path):
    results(tmp_path, "a", {"scene": 0.5, "color": 0.25})
    results(tmp_path, "b", {"scene": 0.5, "color": 0.75})
    with pytest.raises(ValueError, match=r"color is 0\.25 in .*a_eval.*, but 0\.75 in .*b_eval"):
        read_results([tmp_path])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no \*_eval_results"):
        read_results([tmp_path / "empty"])
