# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from mugv_jax.compile.collectives import Collective
from mugv_jax.compile.torus import HOP_SECONDS, Torus
from mugv_jax.cost.chips import CHIPS, chip_of, peak_of

V5P = CHIPS["v5p"]
LINK = V5P.link_bandwidth
BYTES = 10**9


def torus(*shape):
    places = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
    return Torus(V5P, places)


def exchange(kind, groups, payload=BYTES):
    return Collective(
        kind=kind,
        payload=payload,
        groups=np.array(groups),
        times=1,
        asynchronous=False,
        computation="main",
        source="",
    )


def along(shape, *axes):
    """Groups of a torus along some of its axes."""
    numbers = np.arange(np.prod(shape)).reshape(shape)
    size = int(np.prod([shape[axis] for axis in axes]))
    return np.moveaxis(numbers, axes, range(-len(axes), 0)).reshape(-1, size)


def test_a_ring_has_twice_the_bandwidth_of_a_line():
    ring = torus(4, 4, 4).seconds(exchange("all-gather", along((4, 4, 4), 2)), 1.0)
    assert ring == pytest.approx(BYTES * 3 / 4 / (2 * LINK) + 2 * HOP_SECONDS)
    half = [group[:4] for group in along((4, 4, 8), 2)]
    line = torus(4, 4, 8).seconds(exchange("all-gather", half), 1.0)
    assert line == pytest.approx(BYTES * 3 / 4 / LINK + 3 * HOP_SECONDS)


def test_a_plane_uses_the_links_of_both_its_axes():
    plane = torus(4, 4, 4).seconds(exchange("reduce-scatter", along((4, 4, 4), 0, 2)), 1.0)
    assert plane == pytest.approx(BYTES * 15 / 16 / (4 * LINK) + 4 * HOP_SECONDS)


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather():
    groups = along((4, 4, 4), 1)
    parts = ("reduce-scatter", "all-gather")
    whole = torus(4, 4, 4).seconds(exchange("all-reduce", groups), 0.5)
    assert whole == pytest.approx(
        sum(torus(4, 4, 4).seconds(exchange(kind, groups), 0.5) for kind in parts)
    )


def test_an_all_to_all_is_bound_by_the_middle_of_a_ring():
    # Half of the data crosses the middle: on a ring of n, n / 2 chips send half their bytes over
    # two links in one direction.
    eight = torus(8, 8, 8).seconds(exchange("all-to-all", along((8, 8, 8), 0)), 1.0)
    assert eight == pytest.approx(4 * BYTES / 2 / (2 * LINK) + 4 * HOP_SECONDS)


def test_a_permutation_pays_for_every_link_it_crosses():
    shape = (4, 4, 4)
    ring = [(i, (i + 1) % 4) for i in range(4)]  # the last wraps around: also one link
    assert torus(*shape).seconds(exchange("collective-permute", ring), 1.0) == pytest.approx(
        BYTES / LINK + HOP_SECONDS
    )
    far = [(0, 2 * 16 + 1)]
    assert torus(*shape).seconds(exchange("collective-permute", far), 1.0) == pytest.approx(
        3 * (BYTES / LINK + HOP_SECONDS)
    )


def test_strided_groups_share_their_links():
    near = [[0, 1], [2, 3]]
    apart = [[0, 2], [1, 3]]
    seconds = [torus(1, 1, 4).seconds(exchange("all-gather", each), 1.0) for each in (near, apart)]
    assert seconds[1] > 1.9 * seconds[0]


def test_time_grows_with_count_and_falls_with_efficiency():
    one = exchange("all-to-all", along((4, 4, 4), 0))
    place = torus(4, 4, 4)
    assert place.seconds(dataclasses.replace(one, times=56), 0.8) == pytest.approx(
        56 * place.seconds(one, 0.8)
    )
    assert place.seconds(one, 0.4) > place.seconds(one, 0.8)


def test_clocks_are_those_of_the_chips():
    assert CHIPS["v5p"].clock_hz == pytest.approx(1.75e9, rel=0.01)
    assert CHIPS["v5e"].clock_hz == pytest.approx(1.5e9, rel=0.01)


def test_a_chip_without_figures_is_refused_by_name():
    assert chip_of("v5p:4x4x4") is V5P
    with pytest.raises(ValueError, match="'v9' is not in the table"):
        chip_of("v9:2x2")


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("TPU v5", 459e12),
        ("TPU v5 lite", 197e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("cpu", None),
        ("TPU v5 unheard of", None),
    ],
)
def test_peaks_of_devices(kind, peak):
    assert peak_of(kind) == peak
