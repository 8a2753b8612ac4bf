# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax.eval import summary
from mugv_jax.eval.measures import METRICS
from mugv_jax.eval.summary import bootstrap, summarise
from mugv_jax.eval.tables import markdown, scores_text


def test_the_interval_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(1).normal(30, 4, 400)
    found = bootstrap(values.tolist())
    reach = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - reach, abs=0.05)
    assert found.high == pytest.approx(values.mean() + reach, abs=0.05)


def test_it_is_the_same_at_every_call_and_in_any_number_of_parts(monkeypatch):
    values = [3.0, 5.0, 9.0, 4.0]
    found = bootstrap(values)
    assert bootstrap(values) == found
    monkeypatch.setattr(summary, "AT_ONCE", 4 * 999)
    assert bootstrap(values) == found


def test_one_value_has_no_interval():
    assert bootstrap([7.5]) == (7.5, None, None)


def answers(**changed):
    values = {**dict.fromkeys(METRICS), "psnr": 30.0, "ssim": 0.9, **changed}
    return [
        {"row": row, "clip": clip, "resolution": side, **values, "psnr": values["psnr"] + plus}
        for row, sides in (("A|B", ("256p", "480p")), ("C", ("480p",)))
        for side in sides
        for clip, plus in (("x", 0.0), ("y", 2.0))
    ]


def test_tables_have_a_row_for_each_vae_and_columns_for_each_resolution():
    text = scores_text(summarise(answers()), "VAE")
    head, _, first, second, *_ = text.splitlines()
    assert head.startswith("| VAE  | 256p PSNR, dB | 256p SSIM | 256p LPIPS | 256p FloLPIPS | 480p")
    cells = ["31.00", "0.9000", "no weights", "no weights"]
    assert [cell.strip() for cell in first.split(" | ")] == [r"| A\|B", *cells, *cells[:3],
                                                             "no weights    |"]  # fmt: skip
    assert [cell.strip() for cell in second.split("|")][2:6] == [""] * 4
    assert "| C    | 480p | 2     | 31.00 (30.00 to 32.00) | 0.9000 (0.9000 to 0.9000) |" in text


def test_what_could_not_be_measured_is_told_from_missing_weights():
    text = scores_text(summarise(answers(lpips=0.1)), "VAE")
    assert "no weights" not in text
    assert "| 0.1000 (0.1000 to 0.1000) | -        | -      | -          |" in text


def test_columns_are_aligned():
    assert markdown([["a", "bb"], ["ccc", "d"]]) == "| a   | bb |\n|-----|----|\n| ccc | d  |"
