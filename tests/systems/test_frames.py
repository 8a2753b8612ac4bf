# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import numpy as np
import pytest

from mugv_jax.systems.frames import FALLBACK_TILING, gather, whole_or_tiled
from mugv_jax.systems.tiles import Tiling

OWN = Tiling(rows=8, columns=8)
FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")


def test_frames_are_gathered_and_counted(shown):
    parts = [np.zeros((2, 1, 2, 2, 3), np.uint8), np.ones((2, 4, 2, 2, 3), np.uint8)]
    frames = gather(iter(parts), 5, "decoding")
    assert frames[:, :, 0, 0, 0].tolist() == [[0, 1, 1, 1, 1]] * 2
    assert shown() == ["decoding"]
    gather(iter(parts), 5, None)
    assert shown() == ["decoding"]


@pytest.mark.parametrize(
    ("tiling", "error", "asked"),
    [
        (None, None, [None]),
        (OWN, None, [OWN]),
        (None, FULL, [None, FALLBACK_TILING]),
    ],
    ids=["whole", "own tiles", "fallback"],
)
def test_tiles_are_a_way_out_of_whole_frames_that_do_not_fit(tiling, error, asked):
    tried = []

    def decode(chosen):
        tried.append(chosen)
        if error is not None and len(tried) == 1:
            raise error
        return np.zeros((len(tried), 1, 2, 2, 3), np.uint8)

    frames, last = whole_or_tiled(decode, tiling)
    assert tried == asked
    assert (len(frames), last) == (len(asked), asked[-1])


@pytest.mark.parametrize(
    ("tiling", "error"), [(OWN, FULL), (None, jax.errors.JaxRuntimeError("INTERNAL: broken"))]
)
def test_no_way_out_of_tiles_or_of_another_fault(tiling, error):
    def decode(_):
        raise error

    with pytest.raises(jax.errors.JaxRuntimeError):
        whole_or_tiled(decode, tiling)
