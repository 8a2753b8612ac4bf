# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import csv
import json

import numpy as np
import pytest

from mugv_jax.curate.review import LABELS, merge_review, to_review, write_review


def clips(count: int = 100) -> list[dict]:
    draw = np.random.default_rng(0)
    rows = [
        {
            "clip": f"c{i:03}", "path": f"/raw/{i}.mp4", "start_s": 0.5, "end_s": 2.5,
            "caption": 'A dog, "Rex",\nruns.', "composite": float(draw.uniform()),
            "dropped_by": "motion" if i % 5 == 0 else None,
        }
        for i in range(count)
    ]  # fmt: skip
    kept = sorted((r["composite"] for r in rows if r["dropped_by"] is None), reverse=True)
    return [
        {**row, "best": row["dropped_by"] is None and row["composite"] >= kept[9]} for row in rows
    ]


def filled(path, *judgements, name="review.csv"):
    """A list with (id, rater, labels) as people return it."""
    path = path / name
    lines = [",".join(("id", "rater", *LABELS))]
    lines += [",".join((clip, rater, *map(str, labels))) for clip, rater, labels in judgements]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_best_and_a_sample_over_all_scores_are_chosen_whatever_the_order():
    rows = clips()
    best = to_review(rows, 8, best=True)
    assert [row["composite"] for row in best] == sorted(
        (row["composite"] for row in rows if row["best"]), reverse=True
    )[:8]
    sample = to_review(rows, 20)
    assert [row["clip"] for row in to_review(rows[::-1], 20)] == [row["clip"] for row in sample]
    order = sorted(row["composite"] for row in rows if row["dropped_by"] is None)
    fifths = [order.index(row["composite"]) * 5 // len(order) for row in sample]
    assert np.bincount(fifths).tolist() == [4] * 5
    assert len(to_review(rows, 1000)) == 80
    with pytest.raises(ValueError, match="count=0 must be at least 1"):
        to_review(rows, 0)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_list_that_was_filled_in_comes_back_as_columns(tmp_path, suffix):
    path = tmp_path / f"review{suffix}"
    rows = clips()
    chosen = to_review(rows, 3)
    write_review(path, chosen)
    if suffix == ".csv":
        with open(path, newline="") as file:
            records = list(csv.DictReader(file))
    else:
        records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["caption"] for each in records] == [row["caption"] for row in chosen]
    assert {records[0][name] or None for name in (*LABELS, "rater")} == {None}
    records[0] |= {"rater": "ann", "motion_continuity": 4, "visual_fidelity": 2}
    with open(path, "w", newline="") as file:
        if suffix == ".csv":
            writer = csv.DictWriter(file, records[0])
            writer.writeheader()
            writer.writerows(records)
        else:
            file.writelines(json.dumps(each) + "\n" for each in records)
    made = {row["clip"]: row for row in merge_review(rows, path)}
    first = made[chosen[0]["clip"]]
    assert [first[name] for name in LABELS] == [4.0, None, 2.0]
    assert (first["raters"], first["rater_agreement"]) == (1, None)
    assert made[chosen[1]["clip"]]["raters"] is None


def test_labels_of_several_raters_are_their_median_with_their_agreement(tmp_path):
    path = filled(
        tmp_path,
        ("c001", "ann", (1, 5, 3)), ("c001", "bob", (2, 5, 3)), ("c001", "eve", (5, 5, "")),
    )  # fmt: skip
    row = merge_review(clips(), path)[1]
    assert [row[name] for name in LABELS] == [2.0, 5.0, 3.0]
    assert row["raters"] == 3
    # Close are 1 of the 3 pairs of the first label, 3 of 3, and 1 of 1.
    assert row["rater_agreement"] == pytest.approx(5 / 7)


def test_mistakes_are_told_together_with_their_lines(tmp_path):
    path = filled(
        tmp_path,
        ("c001", "ann", (1, 5, 3)), ("c001", "ann", (1, 5, 3)), ("c002", "ann", (6, 1, 1)),
        ("gone", "ann", (1, 1, 1)), ("c003", "ann", (1.5, 1, 1)),
    )  # fmt: skip
    with pytest.raises(ValueError, match="4 mistaken") as caught:
        merge_review(clips(), path)
    told = str(caught.value)
    assert "line 3: c001 is judged by 'ann' twice." in told
    assert "line 4: motion_continuity='6' must be 1 to 5, or empty." in told
    assert "line 5: id 'gone' is no clip of this set." in told
    assert "line 6: motion_continuity='1.5' must be" in told
    with pytest.raises(ValueError, match="no clip has a label; fill in motion_continuity"):
        merge_review(clips(), filled(tmp_path, ("c001", "ann", ("", "", ""))))
    with pytest.raises(ValueError, match="does not exist"):
        merge_review(clips(), tmp_path / "other.csv")
    with pytest.raises(ValueError, match=r"must be a \.csv"):
        write_review(tmp_path / "review.txt", clips())
    with pytest.raises(ValueError, match="no clips to review"):
        write_review(tmp_path / "review.csv", [])
