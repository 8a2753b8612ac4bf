# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward models as scorers: what they are given, in which batches, and what is refused."""

import csv
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax import cli
from mugv_jax.data.fields import NumberField
from mugv_jax.data.pt_files import text_bytes
from mugv_jax.demo.world.export import lossless
from mugv_jax.post.folder import read_rows
from mugv_jax.post.reward import RewardScorer, option_value
from mugv_jax.post.scoring import Scorer, Weighting, score_samples
from mugv_jax.train.rewards import make_reward

SIZES = {"a": (3, 16, 16), "b": (3, 16, 16), "c": (1, 16, 32), "d": (3, 16, 16)}
LEVELS = {"a": 10, "b": 200, "c": 90, "d": 255}
TOLERANCE = 1e-4  # of means over 1,500 values in float32
traced = []


@dataclasses.dataclass(frozen=True)
class Sum:
    """Adds up all that it is given."""

    variables: ClassVar[Mapping[str, Any]] = {"gain": np.float32(3)}
    fields: ClassVar[tuple[NumberField, ...]] = (NumberField("loudness", default=0.25),)

    scale: float = 1.0

    def __call__(self, variables, pixels, batch):
        traced.append(pixels.shape)
        text = jnp.mean(batch["text"], axis=(1, 2), where=batch["text_mask"][..., None])
        given = text + batch["fps"] + batch["loudness"]
        return variables["gain"] * self.scale * jnp.mean(pixels, axis=(1, 2, 3, 4)) + given


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Four samples of two sizes, with captions of 3 tokens of width 4."""
    folder = tmp_path_factory.mktemp("samples")
    for row, name in enumerate(SIZES):
        frames = np.full((*SIZES[name], 3), LEVELS[name], np.uint8)
        (folder / f"{name}.mkv").write_bytes(lossless(frames, 8.0))
        states, mask = np.full((3, 4), row, np.float32), np.array([1, 1, 0], bool)
        (folder / f"{name}.pt").write_bytes(text_bytes(states, mask))
    with open(folder / "train.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "video_path", "text_feat_path", "fps", "loudness"])
        rows.writerows([n, f"{n}.mkv", f"{n}.pt", 8, 1 if n == "a" else ""] for n in SIZES)
    return folder


def expected(name):
    given = [*SIZES].index(name) + 8 + (1 if name == "a" else 0.25)
    return 3 * (LEVELS[name] / 127.5 - 1) + given


def test_a_reward_scores_samples_with_what_training_would_give_it(samples):
    traced.clear()
    scorer = RewardScorer("sum", Sum(), samples)
    assert isinstance(scorer, Scorer)
    labels = score_samples(samples, read_rows(samples), scorer, Weighting.of(scorer), batch=4)
    assert [label.id for label in labels] == [*SIZES]
    for label in labels:
        assert label.rater == "sum"
        assert label.score == pytest.approx(expected(label.id), abs=TOLERANCE)
    assert traced == [(4, 3, 16, 16, 3), (1, 1, 16, 32, 3)]  # three of one size are filled to four


def test_the_command_takes_a_function_and_its_options(samples, tmp_path, capsys):
    out = tmp_path / "labels.csv"
    options = ["--by", f"{__name__}:Sum", "--with", "scale=1.0", "--batch", "2", "-o", str(out)]
    assert cli.main(["post", "label", str(samples), *options]) == 0
    with open(out, newline="") as file:
        found = {row["id"]: row for row in csv.DictReader(file)}
    assert {name: float(row["reward"]) for name, row in found.items()} == pytest.approx(
        {name: expected(name) for name in SIZES}, abs=TOLERANCE
    )
    assert "reward" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--by", f"{__name__}:Sum", "--with", "size=2"], "do not fit"),
        (["--by", f"{__name__}:Product"], "has no function 'Product'"),
        (["--by", "demo", "--with", "size=2"], "--with is of reward models"),
        (["--by", "pickscore", "--with", "folder=nowhere"], "nowhere"),
        (["--by", f"{__name__}:Sum", "--batch", "0"], "--batch=0 must be at least 1"),
    ],
)
def test_mistakes_are_one_line(samples, tmp_path, capsys, options, message):
    out = str(tmp_path / "labels.csv")
    assert cli.main(["post", "label", str(samples), *options, "-o", out]) == 2
    assert message in capsys.readouterr().err


def test_a_sample_without_text_is_named(samples):
    scorer = RewardScorer("sum", Sum(), samples)
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="a has no text_feat_path, which sum reads"):
        scorer.judge([frames], [{"sample_id": "a"}])
    with pytest.raises(ValueError, match=r"a: .*gone\.pt"):
        scorer.judge([frames], [{"sample_id": "a", "text_feat_path": "gone.pt"}])


def test_options_are_literals_or_text():
    values = {"(0, 8)": (0, 8), "0.5": 0.5, "True": True, "PickScore_v1": "PickScore_v1"}
    assert {text: option_value(text) for text in values} == values
    assert make_reward("--by", f"{__name__}:Sum", {"scale": 2.0}).scale == 2
