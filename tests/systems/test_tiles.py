# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax.systems.tiles import Tiling, spans_of, tiles_of, zoomed


@pytest.mark.parametrize(
    ("size", "cell", "halo"), [(24, 10, 2), (7, 4, 3), (9, 4, 0), (5, 8, 3), (64, 8, 7), (12, 4, 1)]
)
def test_cells_cover_an_axis_and_each_has_its_halo(size, cell, halo):
    spans = spans_of(size, cell, halo)
    assert len(spans) == -(-size // cell)
    assert len({span.cell.stop - span.cell.start for span in spans}) == 1
    assert len({span.outer.stop - span.outer.start for span in spans}) == 1
    counted = np.concatenate([np.arange(span.new, span.cell.stop) for span in spans])
    np.testing.assert_array_equal(counted, np.arange(size))
    for span in spans:
        assert span.cell.start <= span.new < span.cell.stop
        assert 0 <= span.outer.start <= max(0, span.cell.start - halo)
        assert min(size, span.cell.stop + halo) <= span.outer.stop <= size


def test_a_cell_lies_in_its_tile_at_every_zoom():
    frame = np.arange(20 * 34).reshape(20, 34)
    for tile in tiles_of(10, 17, Tiling(rows=4, columns=5), halo=2):
        cell = frame[zoomed(tile.outer, 2)][zoomed(tile.inner, 2)]
        np.testing.assert_array_equal(cell, frame[zoomed(tile.cell, 2)])
    assert len(tiles_of(10, 17, None, halo=2)) == 1


@pytest.mark.parametrize("sides", [(0, 8), (8, -1)])
def test_tiles_without_a_latent_are_refused(sides):
    with pytest.raises(ValueError, match=f"={min(sides)} must be at least 1"):
        Tiling(rows=sides[0], columns=sides[1])
