# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Results: consensus, preferences, rates and accuracy, and files that other commands read."""

import csv
import dataclasses

import pytest
from PIL import Image

from mugv_jax import cli
from mugv_jax.curate.review import LABELS, merge_review
from mugv_jax.data.whole_files import write_whole
from mugv_jax.post.labels import read_labels
from mugv_jax.serve.label.exports import write_results
from mugv_jax.serve.label.plot import Row, write_bars
from mugv_jax.serve.label.questions import ECOMMERCE, REVIEW, SINGLE
from mugv_jax.serve.label.report import report_text
from mugv_jax.serve.label.results import results_of
from tests.serve.label.sets import answer_all, labelset, tasks_of

NAMES = ("ann", "ben", "cat")


def judged(folder, made, choose, rounds=1):
    """All answers of three annotators; choose(annotator, item's number, question)."""
    tasks = tasks_of(folder, made)
    for name in NAMES * rounds:

        def chosen(task, question, name=name):
            answer = choose(name, int(task.item.id, 16), question)
            if answer in ("left", "right") and task.swapped:  # videos, not sides
                return {"left": "right", "right": "left"}[answer]
            return answer

        answer_all(tasks, name, chosen)
    return tasks._store.answers()


def vote(name, number, _):
    """Ours wins items 0 to 3 by two of three, 4 is a tie of all, 5 has no majority."""
    if number < 4:
        return "right" if name == "cat" else "left"
    return "same" if number == 4 else {"ann": "left", "ben": "same", "cat": "right"}[name]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_preferences_count_videos_whatever_their_sides(tmp_path):
    made = labelset()
    answers = judged(tmp_path, made, vote)
    results = results_of(made, answers)
    overall = results.preferences["overall"]
    assert (overall.good, overall.same, overall.bad, overall.pairs) == (9, 4, 5, 6)
    assert overall.gsb.value == pytest.approx((9 + 4) / (5 + 4))
    assert results.states("overall") == {"agreed": 5, "tied": 1}
    assert results.agreement["overall"].items == 6
    files = write_results(tmp_path / "out", results, answers)
    assert files == ["labels.csv", "consensus.csv", "results.md", "comparisons.csv", "results.png"]
    raw = rows_of(tmp_path / "out" / "labels.csv")
    assert len(raw) == 6 * 4 * 3
    assert {row["side"] for row in raw if row["item"] == "item0" and row["annotator"] == "ann"} == {
        "left" if raw_left(raw, "item0", "ann") == "ours/c0" else "right"
    }
    tied = "Ties: item5 (aesthetics)"
    assert tied in (tmp_path / "out" / "results.md").read_text()
    with Image.open(tmp_path / "out" / "results.png") as picture:
        assert picture.size[0] == 1800


def raw_left(raw, item, annotator):
    return next(r["left"] for r in raw if (r["item"], r["annotator"]) == (item, annotator))


def test_pairs_of_one_folder_are_read_by_post_pairs(tmp_path):
    made = labelset()
    items = tuple(
        dataclasses.replace(
            item,
            clips=tuple(
                dataclasses.replace(clip, model="samples", id=f"{clip.id}-{k}")
                for k, clip in enumerate(item.clips)
            ),
        )
        for item in made.items
    )
    made = dataclasses.replace(made, items=items, models=("samples",))
    answers = judged(tmp_path, made, vote)
    results = results_of(made, answers)
    assert not results.preferences  # of one model with itself
    assert "results.png" not in write_results(tmp_path / "out", results, answers)
    known = {clip.id for item in items for clip in item.clips}
    found = read_labels(tmp_path / "out" / "comparisons.csv", known)
    assert [(each.win, each.lose, each.tie) for each in found] == [
        *((f"c{i}-0", f"c{i}-1", False) for i in range(4)),
        ("c4-0", "c4-1", True),  # and none of item 5, which has no majority
    ]


def test_scores_of_single_videos_are_read_by_post_pairs(tmp_path):
    made = labelset(SINGLE, count=4)
    items = tuple(
        dataclasses.replace(
            item, clips=(dataclasses.replace(item.clips[0], model="m", id=f"p-{i}"),)
        )
        for i, item in enumerate(made.items)
    )
    made = dataclasses.replace(made, items=items, models=("m",))
    passed = {0: ("prompt", "subject", "errors"), 1: ("prompt",), 2: ("prompt", "errors"), 3: ()}
    answers = judged(
        tmp_path, made, lambda name, i, q: "pass" if q in passed[i] or name == "cat" else "fail"
    )
    results = results_of(made, answers)
    assert [results.rates["m"][name].count for name in ("prompt", "subject", "errors")] == [3, 1, 2]
    assert (results.rates["m"]["all questions"].count, results.rates["m"]["prompt"].of) == (1, 4)
    files = write_results(tmp_path / "out", results, answers)
    assert "scores.csv" in files
    found = read_labels(tmp_path / "out" / "scores.csv", {f"p-{i}" for i in range(4)})
    assert [each.score for each in found] == pytest.approx([1, 1 / 3, 2 / 3, 0])
    assert found[1].parts == {"prompt": 1.0, "subject": 0.0, "errors": 0.0}


def test_scores_of_several_models_are_kept_apart(tmp_path):
    made = labelset(SINGLE, count=4)
    answers = judged(tmp_path, made, lambda *_: "pass")
    files = write_results(tmp_path / "out", results_of(made, answers), answers)
    assert {"scores-1.csv", "scores-2.csv"} <= {*files}
    found = read_labels(tmp_path / "out" / "scores-2.csv", {"c1", "c3"})
    assert [each.id for each in found] == ["c1", "c3"]


def test_stages_of_e_commerce_give_a_pass_rate_and_a_high_quality_rate(tmp_path):
    made = labelset(ECOMMERCE, count=8)
    last = {0: 3, 2: 2, 4: 1, 6: 0, 1: 3, 3: 3, 5: 2, 7: 2}  # stages that a clip passes
    stages = ("natural", "product", "quality")
    answers = judged(
        tmp_path, made, lambda _, i, q: "pass" if stages.index(q) < last[i] else "fail", rounds=3
    )
    rates = results_of(made, answers).rates
    assert [(own.count, own.of) for own in rates["ours"].values()] == [(3, 4), (2, 4), (1, 4)]
    assert [(own.count, own.of) for own in rates["theirs"].values()] == [(4, 4), (4, 4), (2, 4)]
    assert list(rates["ours"]) == ["natural rate", "pass rate", "high-quality rate"]
    text = report_text(results_of(made, answers))
    assert "| ours | 75.0% (3 of 4; 30.1% to 95.4%)" in text


def test_what_is_not_decided_counts_in_no_rate(tmp_path):
    made = labelset(ECOMMERCE, count=4)
    tasks = tasks_of(tmp_path, made)
    for name in ("ann", "ben"):
        answer_all(tasks, name, lambda task, _: "fail" if task.item.name == "item0" else "pass")
    answers = [each for each in tasks._store.answers() if each.question == "natural"]
    rates = results_of(made, answers).rates
    assert (rates["ours"]["natural rate"].count, rates["ours"]["natural rate"].of) == (1, 2)
    # Item 0 has failed for good; item 2 waits for the next stage.
    assert (rates["ours"]["pass rate"].count, rates["ours"]["pass rate"].of) == (0, 1)


def test_review_labels_go_back_to_curation(tmp_path):
    made = labelset(REVIEW, count=3)
    items = tuple(
        dataclasses.replace(item, name=f"v_{i}", about={"id": f"v_{i}", "path": "x.mp4"})
        for i, item in enumerate(made.items)
    )
    made = dataclasses.replace(made, items=items)
    grade = {"ann": 4, "ben": 5, "cat": 2}
    answers = judged(tmp_path, made, lambda name, i, _: str(max(1, grade[name] - i)))
    results = results_of(made, answers)
    assert results.grades["visual_fidelity"].mean == pytest.approx((4 + 3 + 2) / 3)
    assert set(results.agreement["visual_fidelity"].alpha) == {"nominal", "ordinal"}
    write_results(tmp_path / "out", results, answers)
    merged = merge_review([{"clip": f"v_{i}"} for i in range(3)], tmp_path / "out" / "review.csv")
    assert [row[LABELS[0]] for row in merged] == [4.0, 3.0, 2.0]
    assert {row["raters"] for row in merged} == {3}


def test_annotators_who_fail_golden_items_are_left_out(tmp_path):
    golden = {i: {"overall": "first"} for i in (0, 1)}
    made = labelset(golden=golden)
    answers = judged(tmp_path, made, lambda name, *_: "right" if name == "cat" else "left")
    every = results_of(made, answers)
    assert {name: own.share for name, own in every.accuracy.items()} == {
        "ann": 1.0, "ben": 1.0, "cat": 0.0,
    }  # fmt: skip
    assert every.preferences["overall"].bad == 4
    assert {item for item, _ in every.decisions} == {item.id for item in made.items[2:]}
    strict = results_of(made, answers, 0.8)
    assert strict.left_out == ["cat"]
    assert strict.preferences["overall"].bad == 0
    assert "Left out for their accuracy: cat" in report_text(strict)
    with pytest.raises(ValueError, match="must lie in 0 to 1"):
        results_of(made, answers, 2)
    with pytest.raises(ValueError, match="needs answers about golden items"):
        results_of(labelset(), [each for each in answers if each.item == made.items[4].id], 0.5)


def test_answers_that_were_taken_back_are_listed_and_do_not_count(tmp_path):
    made = labelset(SINGLE)
    tasks = tasks_of(tmp_path, made)
    (task, *_) = tasks.give("ann").tasks
    for number, answer in enumerate(("fail", "pass")):
        tasks.answer("ann", str(number), task.item.id, "prompt", answer)
        if not number:
            tasks.undo("ann", "0")
    answers = tasks._store.answers()
    results = results_of(made, answers)
    write_results(tmp_path / "out", results, answers)
    raw = rows_of(tmp_path / "out" / "labels.csv")
    assert [(row["answer"], bool(row["undone"])) for row in raw] == [
        ("fail", True),
        ("pass", False),
    ]
    assert [found.votes for found in results.decisions.values()] == [1]
    with pytest.raises(ValueError, match="no answers yet"):
        results_of(made, answers[:1])


def test_the_command_writes_the_report_and_does_not_replace_it(tmp_path, capsys):
    made = labelset()
    write_whole(tmp_path / "set.json", made.text().encode())
    argv = ["label", "results", str(tmp_path), "-o", str(tmp_path / "out")]
    assert cli.main(argv) == 2
    assert "has no answers yet" in capsys.readouterr().err
    judged(tmp_path, made, vote)
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out" / "results.md").read_text()
    assert "| overall | 6 | 9 | 4 | 5 | 1.44 (" in printed
    assert cli.main(argv) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert cli.main([*argv, "--overwrite", "--min-accuracy", "0.5"]) == 2
    assert "needs answers about golden items" in capsys.readouterr().err
    assert cli.main([*argv, "--overwrite"]) == 0


@pytest.mark.parametrize("share", [0.0, 1e-4, 1.0])
def test_bars_are_drawn_for_every_share(tmp_path, share):
    rows = [Row("a very long label " * 9, [(share, "#ff0000"), (1 - share, "#00ff00")], (0.0, 1.0))]
    write_bars(tmp_path / "bars.png", "title", rows)
    with Image.open(tmp_path / "bars.png") as picture:
        colours = {colour for _, colour in picture.getcolors(2**24)}
    assert ((255, 0, 0) in colours, (0, 255, 0) in colours) == (share == 1, share < 1)


def test_names_of_users_are_no_markup(tmp_path):
    made = dataclasses.replace(labelset(), models=("a|b *c*\nd", "theirs"))
    text = report_text(results_of(made, judged(tmp_path, made, vote)))
    assert "## a\\|b \\*c\\* d against theirs" in text
