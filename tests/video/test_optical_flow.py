# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax.video.optical_flow import check_flow, dis_flow, flow_by, mean_length
from tests.curate.photos import panned, photo, steps


@pytest.mark.parametrize("size", [(4, 4), (40, 8), (11, 200), (64, 15)])
def test_frames_too_small_for_opencv_have_a_flow(size):
    a, b = panned(photo("coffee.png", 240), steps(2, (1.0, 0)), size)
    flow = dis_flow(a, b)
    assert flow.shape == (*size[::-1], 2)
    assert np.isfinite(flow).all()


def test_without_weights_the_flow_is_that_of_dis():
    assert flow_by() is flow_by("") is dis_flow


def test_weights_that_are_missing_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"weights of RAFT '.*raft\.pth' does not exist"):
        check_flow(str(tmp_path / "raft.pth"))


def test_lengths_are_averaged_over_flows():
    assert mean_length([np.full((2, 3, 2), 3.0), np.zeros((2, 3, 2))]) == pytest.approx(3 / 2**0.5)
