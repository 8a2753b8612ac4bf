# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import collections
import logging
import math

import numpy as np
import pytest
from ml_collections import ConfigDict

from mugv_jax.config import build_group
from mugv_jax.curate.balance import BalanceConfig, balance, target_shares, whole_amounts
from mugv_jax.curate.best import EVERY, BestConfig, ranks, select_best

TAGS = {"person": 60, "car": 30, "bird": 10}


def tagged() -> list[dict]:
    """100 clips with a subject each, and one that a threshold dropped."""
    names = [name for name, count in TAGS.items() for _ in range(count)]
    rows = [{"clip": f"c{i:03}", "subjects": [name]} for i, name in enumerate(names)]
    return [*rows, {"clip": "bad", "subjects": ["bird"], "dropped_by": "sharpness"}]


def counts(rows) -> dict[str, int]:
    return dict(collections.Counter(row["stratum"] for row in rows if row["balanced"]))


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(1.0, {"person": 30, "car": 15, "bird": 5}), (0.0, {"person": 20, "car": 20, "bird": 10})],
)
def test_the_balanced_set_has_the_target_distribution(alpha, expected):
    made = balance(tagged(), BalanceConfig(by=("subjects",), alpha=alpha, share=0.5))
    assert counts(made) == expected
    weights = [row["balance_weight"] for row in made if row["balanced"]]
    assert sum(weights) == pytest.approx(50)
    birds = [row["balance_weight"] for row in made if row["stratum"] == "bird" and row["balanced"]]
    assert sum(birds) / 50 == pytest.approx({1.0: 0.1, 0.0: 1 / 3}[alpha])
    assert made[-1]["stratum"] is None
    assert not made[-1]["balanced"]


def test_the_choice_is_that_of_ids_and_seed_and_not_of_order():
    config = BalanceConfig(by=("subjects",), share=0.5, weights={"car": 2.0})
    rows = tagged()
    first = {row["clip"]: row["balance_weight"] for row in balance(rows, config)}
    again = {row["clip"]: row["balance_weight"] for row in balance(rows[::-1], config)}
    assert first == again
    other = balance(rows, BalanceConfig(by=("subjects",), share=0.5, seed=1))
    assert {row["clip"]: row["balance_weight"] for row in other} != first


def test_weighted_tags_are_kept_more_often_across_and_inside_of_strata():
    rows = [
        {"clip": f"c{i}", "subjects": ["street"] + ["person"] * (i % 2), "scenes": ["city"]}
        for i in range(400)
    ]
    config = BalanceConfig(by=("subjects", "scenes"), share=0.25, weights={"person": 3.0})
    made = [row for row in balance(rows, config) if row["balanced"]]
    assert {row["stratum"] for row in made} == {"street / city"}
    people = sum("person" in row["subjects"] for row in made)
    # Drawn with weights 3 and 1 without replacement: 0.72 of 100 are expected.
    assert 62 <= people <= 82
    heavy = BalanceConfig(by=("subjects",), alpha=1.0, share=0.4, weights={"bird": 3.0})
    assert counts(balance(tagged(), heavy)) == {"person": 20, "car": 10, "bird": 10}


def test_without_tags_numbers_are_cut_into_equal_parts(caplog):
    caplog.set_level(logging.INFO)
    rows = [{"clip": f"c{i}", "camera_motion": float(i % 9), "subjects": None} for i in range(90)]
    made = balance(rows, BalanceConfig(share=1.0))
    assert counts(made) == {f"camera_motion {i} of 3": 30 for i in (1, 2, 3)}
    assert all(row["balance_weight"] == pytest.approx(1) for row in made)
    assert not caplog.records  # nobody asked for tags
    balance(rows, BalanceConfig(share=1.0), measured=("subjects",))
    assert "No clip has tags (subjects, actions, scenes): strata are made of" in caplog.text
    assert counts(balance([{"clip": "a"}, {"clip": "b"}], BalanceConfig(share=0.5))) == {"": 1}
    assert balance([], BalanceConfig()) == []


def test_amounts_fit_the_counts_and_the_total():
    draw = np.random.default_rng(0)
    for _ in range(200):
        sizes = draw.integers(1, 50, draw.integers(1, 12)).astype(float)
        total = int(draw.integers(0, sizes.sum() + 1))
        shares = target_shares(sizes, draw.uniform(0.5, 2, len(sizes)), draw.uniform())
        made = whole_amounts(sizes, shares, total)
        assert made.sum() == total
        assert (made <= sizes).all()
        assert (made >= 0).all()


def test_configs_of_mistakes_are_refused():
    for values in ({"alpha": 2.0}, {"share": 0.0}, {"bins": 1}, {"weights": {"person": -1.0}}):
        with pytest.raises(ValueError, match="must"):
            build_group("balance", BalanceConfig, ConfigDict(values))
    for values in ({"rule": "most"}, {"share": 2.0}, {"parts": {"motion": {"motion": 0.0}}}):
        with pytest.raises(ValueError, match="must"):
            build_group("best", BestConfig, ConfigDict(values))


def scored() -> list[dict]:
    draw = np.random.default_rng(1)
    names = ("aesthetic", "foreground_motion", "camera_motion", "sharpness")
    rows = [
        {"clip": f"c{i:04}", **dict(zip(names, draw.normal(size=4), strict=True))}
        for i in range(1000)
    ]
    return [*rows, {"clip": "dropped", "aesthetic": 99.0, "dropped_by": "text"}]


def test_the_best_tenth_has_higher_scores_and_the_foreground_counts_more():
    made = select_best(scored(), BestConfig())
    best = [row for row in made if row["best"]]
    assert len(best) == 100
    assert min(row["composite"] for row in best) >= max(
        row["composite"] for row in made if not row["best"] and row["composite"] is not None
    )
    means = {name: np.mean([row[name] for row in best]) for name in BestConfig().parts["motion"]}
    assert means["foreground_motion"] > means["camera_motion"] > 0
    assert made[-1] == {**scored()[-1], "composite": None, "best": False}


def test_every_part_must_be_among_the_best():
    parts = {"aesthetic": {"aesthetic": 1.0}, "motion": {"foreground_motion": 1.0}}
    made = select_best(scored(), BestConfig(parts=parts, rule=EVERY, share=0.3))[:-1]
    expected = {
        row["clip"]
        for row in made
        if all(
            row[name] >= np.quantile([each[name] for each in made], 0.7)
            for name in ("aesthetic", "foreground_motion")
        )
    }
    assert {row["clip"] for row in made if row["best"]} == expected


def test_scores_that_are_missing_are_left_out_and_said_if_they_were_asked_for(caplog):
    rows = [{"clip": f"c{i}", "aesthetic": None, "sharpness": float(i)} for i in range(20)]
    made = select_best(rows, BestConfig())
    assert [row["clip"] for row in made if row["best"]] == ["c18", "c19"]
    assert not caplog.records  # no model was given that measures them
    select_best(rows, BestConfig(), measured=("aesthetic",))
    assert [record.getMessage() for record in caplog.records] == [
        "No clip has aesthetic: the best clips are chosen without."
    ]
    gone = [{"clip": "a", "dropped_by": "text"}, {"clip": None, "dropped_by": "problem"}]
    assert not any(row["best"] for row in select_best(gone, BestConfig()))
    assert select_best([], BestConfig()) == []
    nothing = select_best([{"clip": "a"}], BestConfig())
    assert nothing == [{"clip": "a", "composite": None, "best": False}]


def test_ranks_ignore_the_scale_and_share_ties():
    x = np.array([3.0, 1.0, 2.0, 2.0])
    assert ranks(x) == pytest.approx([7 / 8, 1 / 8, 1 / 2, 1 / 2])
    assert ranks(np.exp(5 * x)) == pytest.approx(ranks(x))
    assert math.isclose(ranks(np.arange(7.0)).mean(), 0.5)
