# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax.demo.eval.intervals import difference, mean, share


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (29, 29, 0.8830, 1)],
)
def test_shares_have_the_published_intervals(right, count, low, high):
    """Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3."""
    assert share(right, count) == pytest.approx((right / count, low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((10, 10), (0, 10), 0.6075, 1),
    ],
)
def test_differences_have_the_published_intervals(first, second, low, high):
    """Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10."""
    found = difference(share(*first), share(*second))
    value = first[0] / first[1] - second[0] / second[1]
    assert found == pytest.approx((value, low, high), abs=5e-5)
    back = difference(share(*second), share(*first))
    assert back == pytest.approx((-found.value, -found.high, -found.low))


def test_more_than_nine_in_ten_intervals_contain_the_truth():
    rng = np.random.default_rng(0)
    right = rng.binomial(50, 0.95, 400)
    held = [low <= 0.95 <= high for _, low, high in (share(int(k), 50) for k in right)]
    assert 0.9 < np.mean(held) < 1
    means = [mean(rng.normal(3, 2, 30).tolist()) for _ in range(400)]
    assert 0.9 < np.mean([each.low <= 3 <= each.high for each in means]) < 1


def test_a_mean_of_equal_values_is_certain_and_one_value_has_no_interval():
    assert mean([2.0, 2.0, 2.0]) == (2, 2, 2)
    with pytest.raises(ValueError, match="1 values: an interval needs at least two"):
        mean([2.0])


@pytest.mark.parametrize(("right", "count"), [(0, 0), (-1, 3), (4, 3)])
def test_invalid_counts_are_refused(right, count):
    with pytest.raises(ValueError, match=f"{right} of {count} is no share"):
        share(right, count)
