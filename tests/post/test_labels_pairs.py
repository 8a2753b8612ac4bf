# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts, labels and pairs: what is read, combined and chosen, and what is refused."""

import numpy as np
import pytest

from mugv_jax.data.fields import LatentField, flow_fields
from mugv_jax.data.pt_files import latent_bytes
from mugv_jax.data.published import PublishedSamples
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import WORLDS
from mugv_jax.post.demo import DemoScorer
from mugv_jax.post.folder import read_rows
from mugv_jax.post.labels import Comparison, Label, combined, labels_bytes, read_labels
from mugv_jax.post.pairs import (
    PairRule,
    binary,
    choose_pairs,
    real_pairs,
    write_binary,
    write_pairs,
)
from mugv_jax.post.prompts import read_prompts
from mugv_jax.train.scoring import Scorer, Weighting
from tests.train.runs import write_samples

PROMPTS = {"a": 3, "b": 2, "c": 1}  # samples of each
ROWS = [
    {"sample_id": f"{prompt}{k}", "prompt": prompt}
    for prompt, n in PROMPTS.items()
    for k in range(n)
]
IDS = [row["sample_id"] for row in ROWS]
SCORES = {"a0": 1.0, "a1": 0.0, "a2": 0.5, "b0": 1.0, "b1": 1.0, "c0": 0.0}


def labels_of(scores):
    return [Label(id=name, rater="r", score=score) for name, score in scores.items()]


def names(pairs):
    return {(pair.win, pair.lose) for pair in pairs}


def test_prompts_keep_their_columns_and_have_ids(tmp_path):
    (tmp_path / "p.csv").write_text("id,caption,motion\nx,a red star,left\n,a cube,up\n")
    first, second = read_prompts(tmp_path / "p.csv")
    assert (first.id, first.caption, first.about) == ("x", "a red star", {"motion": "left"})
    assert second.id == "00001"
    (tmp_path / "p.txt").write_text("a red star\n\n# no\na cube\n")
    assert [each.caption for each in read_prompts(tmp_path / "p.txt")] == ["a red star", "a cube"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("prompt\na star\n", "no column caption"),
        ("caption\n", "is empty"),
        ('caption,id\n"",x\n', "caption is empty"),
        ("caption,id\na,x\nb,x\n", "there twice"),
        ("caption,id\na,../x\n", "letters, digits"),
    ],
)
def test_prompts_that_cannot_be_used_are_named(tmp_path, content, told):
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(ValueError, match=told):
        read_prompts(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("id,rater\na0,r\n", "columns must be"),
        ("id,rater,score\nz9,r,1\n", "'z9' is no sample"),
        ("id,rater,score\na0,r,six\n", "finite number"),
        ("id,rater,score\na0,r,6\n", "must lie in 1 to 5"),
        ("id,rater,score\na0,r,1\na0,r,2\n", "twice"),
        ("win,lose,rater\na0,a0,r\n", "compare two"),
        ("win,lose,rater,tie\na0,a1,r,yes\n", "tie='yes'"),
        ("id,rater,score\n", "is empty"),
    ],
)
def test_labels_that_cannot_be_used_are_named(tmp_path, content, told):
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(ValueError, match=told):
        read_labels(tmp_path / "l.csv", IDS, bounds=(1, 5))


def test_labels_are_read_as_they_were_written(tmp_path):
    for labels in (
        [Label(id="a0", rater="r", score=0.25, parts={"motion": 1.0})],
        [Comparison(win="a0", lose="a1", rater="r"), Comparison(win="a0", lose="a2", rater="s")],
    ):
        (tmp_path / "l.csv").write_bytes(labels_bytes(labels))
        assert read_labels(tmp_path / "l.csv", IDS) == labels


def test_several_raters_become_one_and_their_agreement_is_told():
    rated = [("a0", 1), ("a0", 1), ("a0", 4), ("a1", 4), ("a1", 4), ("a2", 2)]
    labels = [Label(id=n, rater=str(k), score=s) for k, (n, s) in enumerate(rated)]
    mean, agreement = combined(labels)
    assert [label.score for label in mean] == [2, 4, 2]
    assert (agreement.judged, agreement.same) == (2, 0.5)
    # Squared differences of ordered pairs: observed 36 / 2 / 5, expected 108 / (5 * 4).
    assert agreement.alpha == pytest.approx(1 - 3.6 / 5.4)
    majority, _ = combined(labels, "majority")
    assert [label.score for label in majority] == [1, 4, 2]


def test_comparisons_go_by_majority_and_a_draw_is_a_tie():
    votes = [("a0", "a1"), ("a1", "a0"), ("a0", "a1"), ("b0", "b1"), ("b1", "b0")]
    made, agreement = combined([Comparison(win=w, lose=x, rater="r") for w, x in votes])
    assert [(each.win, each.lose, each.tie) for each in made] == [
        ("a0", "a1", False),
        ("b0", "b1", True),
    ]
    assert agreement.same == pytest.approx(1 / 4)


def test_pairs_are_of_one_prompt_and_differ_by_the_margin():
    pairs, counts = choose_pairs(ROWS, labels_of(SCORES), PairRule())
    assert names(pairs) == {("a0", "a1"), ("a0", "a2"), ("a2", "a1")}
    assert (counts.pairs, counts.prompts, counts.without, counts.ties) == (3, 3, 2, 1)
    strict, counts = choose_pairs(ROWS, labels_of(SCORES), PairRule(margin=0.6))
    assert names(strict) == {("a0", "a1")}
    assert (strict[0].margin, counts.ties) == (1.0, 3)
    kept, _ = choose_pairs(ROWS, labels_of(SCORES), PairRule(margin=0.6, keep_ties=True))
    assert [pair.tie for pair in kept].count(True) == 3


def test_a_prompt_gives_few_pairs_of_samples_that_take_turns():
    rows = [{"sample_id": str(k), "prompt": "p"} for k in range(6)]
    labels = labels_of({str(k): k for k in range(6)})
    pairs, _ = choose_pairs(rows, labels, PairRule(per_prompt=3))
    assert len({name for pair in pairs for name in (pair.win, pair.lose)}) == 6
    again, _ = choose_pairs(rows, labels, PairRule(per_prompt=3))
    other, _ = choose_pairs(rows, labels, PairRule(per_prompt=3, seed=1))
    assert pairs == again != other


def test_pairs_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="no prompt has two"):
        choose_pairs(ROWS, labels_of({"a0": 1.0, "c0": 0.0}), PairRule())
    with pytest.raises(
        ValueError,
        match="differences are zero or below margin=0; sample more videos of each prompt\\.",
    ):
        choose_pairs(ROWS, labels_of({"b0": 1.0, "b1": 1.0}), PairRule())
    with pytest.raises(ValueError, match="of two prompts"):
        choose_pairs(ROWS, [Comparison(win="a0", lose="b0", rater="r")], PairRule())
    with pytest.raises(ValueError, match="per_prompt=0"):
        PairRule(per_prompt=0)


def test_real_clips_win_against_the_worst_samples():
    real = [{"sample_id": "a"}, {"sample_id": "c"}]
    pairs, counts = real_pairs(ROWS, labels_of(SCORES), real, PairRule(per_prompt=1))
    assert names(pairs) == {("a", "a1"), ("c", "c0")}
    assert counts.without == 1


def test_written_pairs_and_binary_labels_are_training_samples(tmp_path):
    samples = write_samples(tmp_path / "samples", 2, shapes=((1, 4, 4),))
    rows = [
        row | {"prompt": "p", "caption": "a star"}
        for row in read_rows(samples, "source", "latent_path", "text_feat_path")
    ]
    pairs, _ = choose_pairs(rows, labels_of({"0": 0.0, "1": 1.0}), PairRule())
    write_pairs(pairs, {samples: rows}, tmp_path / "pairs")
    (pair,) = read_rows(tmp_path / "pairs", "lose_path", "caption")
    assert (pair["win"], pair["lose"], pair["margin"]) == ("1", "0", "1")
    fields = (*flow_fields(), LatentField("lose"))
    source = PublishedSamples(tmp_path / "pairs" / "train.csv", fields)
    assert latent_bytes(source[0]["latent"]) == (samples / "latents/1.pt").read_bytes()
    assert latent_bytes(source[0]["lose"]) == (samples / "latents/0.pt").read_bytes()
    made, share = binary(rows, labels_of({"0": 0.0, "1": 1.0}), 1.0)
    write_binary(made, samples, tmp_path / "binary")
    written = read_rows(tmp_path / "binary", "desirable", "score")
    assert [row["desirable"] for row in written] == ["0", "1"]
    assert share == 0.5
    with pytest.raises(ValueError, match="none of 2 samples"):
        binary(rows, labels_of({"0": 0.0, "1": 1.0}), 2.0)


def test_the_demo_checker_scores_what_the_caption_asks_for():
    clip = DemoClips(split="validation", count=1, seed=3, world=WORLDS["small"])[0]
    scorer = DemoScorer()
    assert isinstance(scorer, Scorer)
    told = "left" if clip.attributes["motion"] != "left" else "right"
    rows = [clip.attributes, {**clip.attributes, "told": told}]
    values = scorer.judge([clip.video, clip.video], rows)
    assert values == [(1, 1, 1, 1), (1, 1, 0, 1)]
    (dark,) = scorer.judge([np.zeros_like(clip.video)], rows[:1])
    assert dark == (0, 0, 0, 0)
    parts = dict(zip(scorer.parts, values[1], strict=True))
    assert Weighting.of(scorer).score(parts) == 0.75
    motion = Weighting.of(scorer, {"motion": 2.0, "physics": 1.0})
    assert motion.score(parts) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="'sound' is not judged"):
        Weighting.of(scorer, {"sound": 1.0})
    with pytest.raises(ValueError, match="needs the column motion"):
        scorer.judge([clip.video], [{**clip.attributes, "motion": "", "told": ""}])
