# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.nn.wan.vae import WanVAE, WanVAEConfig
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.systems import wan_windows
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.nn.test_vae import PARITY, relative_error

# The same float32 sums, some in another order.
ROUNDING = 2e-6
TINY = WanVAEConfig(width=8, multipliers=(1, 2), layers=1, latent_channels=4, halve_time=(True,))


@pytest.fixture(scope="module")
def tiny():
    return WanVAE(TINY, jnp.float32), random_variables(abstract_variables("wan_vae", TINY), 5)


def smooth(frames, height, width, channels):
    f, h, w, c = np.indices((frames, height, width, channels))
    return np.sin(0.3 * h + 0.2 * w + 0.5 * f + c)[None].astype(np.float32)


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def at_once(vae, variables, x, method):
    return vae.apply(variables, x, method=method)


def decoded(*arguments, **options):
    return np.concatenate(list(wan_windows.decode_in_steps(*arguments, **options)), axis=1)


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_parts_are_the_whole(tiny, frames):
    x = smooth(frames, 8, 12, 3)
    z = wan_windows.encode(*tiny, x)
    assert relative_error(z, at_once(*tiny, x, "encode")) < PARITY
    y = decoded(*tiny, z)
    assert y.shape == x.shape
    assert relative_error(y, at_once(*tiny, z, "decode")) < PARITY


def test_the_first_frame_comes_before_the_others_are_computed(tiny, monkeypatch):
    steps = wan_windows.decode_in_steps(*tiny, smooth(3, 4, 4, 4))
    monkeypatch.setattr(wan_windows, "_next", None)
    assert next(steps).shape == (1, 1, 8, 8, 3)


@pytest.mark.parametrize("tile", [(8, 8), (5, 40)])
def test_tiles_are_whole_frames(tile, monkeypatch):
    """Two scales are cut: halos of pixels round to halos of the picture below."""
    config = dataclasses.replace(TINY, multipliers=(1, 2, 2), halve_time=(True, False))
    vae = WanVAE(config, jnp.float32)
    variables = random_variables(abstract_variables("wan_vae", config), 5)
    tiling = Tiling(rows=tile[0], columns=tile[1])
    x = smooth(5, 68, 108, 3) + np.random.default_rng(0).normal(size=(1, 5, 68, 108, 3))
    x = x.astype(np.float32)
    z = wan_windows.encode(vae, variables, x)
    y = decoded(vae, variables, z)
    methods, parts = set(), wan_windows._parts
    monkeypatch.setattr(wan_windows, "_parts", lambda *a: methods.add(a[-1]) or parts(*a))
    assert relative_error(wan_windows.encode(vae, variables, x, tiling=tiling), z) < ROUNDING
    assert relative_error(decoded(vae, variables, z, tiling=tiling), y) < ROUNDING
    assert methods == {"encode_large", "encode_small", "decode_small", "decode_large"}


def test_a_tile_as_large_as_the_frame_is_the_frame(tiny):
    z, tiling = smooth(2, 4, 6, 4), Tiling(rows=4, columns=6)
    np.testing.assert_array_equal(decoded(*tiny, z, tiling=tiling), decoded(*tiny, z))


def test_rows_are_split_over_a_mesh(tiny):
    vae, variables = tiny
    mesh = meshes.make_mesh({"sequence": 2, "tensor": 2})
    placed = jax.device_put(
        variables, variable_shardings(abstract_variables("wan_vae", TINY), mesh)
    )
    for height in (16, 10):  # 8 and 5 rows of latents on four devices
        x = smooth(3, height, 8, 3)
        z = wan_windows.encode(vae, variables, x)
        y = decoded(vae, variables, z)
        with meshes.use(mesh):
            assert relative_error(wan_windows.encode(vae, placed, x), z) < PARITY
            assert relative_error(decoded(vae, placed, z), y) < PARITY


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 8, 8), r"2 frames must be 2 k \+ 1"), ((3, 8, 9), "9x8 pixels must be multiples of 2")],
)
def test_what_makes_no_whole_latents_is_refused(tiny, shape, message):
    with pytest.raises(ValueError, match=message):
        wan_windows.encode(*tiny, smooth(*shape, 3))
