# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax import config as configs
from mugv_jax.eval.vae import Vae
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.systems.tiles import Tiling
from tests.eval.videos import frames
from tests.systems.mugv.folders import SMALL

ROUNDING = 2  # of 255, between whole frames and tiles


@pytest.mark.parametrize("name", ["mugv", "contentv"])
def test_a_clip_comes_back_at_its_size_also_in_tiles(name):
    config = SMALL if name == "mugv" else configs.load("contentv_debug")
    vae = Vae.random(config, "random")
    x = frames(9, (48, 32))
    with vae.loaded(make_mesh(), jnp.float32) as reconstruct:
        whole = reconstruct(x)
    assert whole.shape == x.shape
    assert whole.dtype == np.uint8
    assert whole.std() > 1
    with vae.loaded(make_mesh(), jnp.float32, Tiling(rows=2, columns=2)) as reconstruct:
        tiled = reconstruct(x)
    assert np.abs(tiled.astype(int) - whole).max() <= ROUNDING
    assert vae.identity()["digest"] == "random"
    jax.clear_caches()


def test_the_vae_is_found_in_a_folder_of_weights_or_by_its_file():
    folder = Vae.find(demo_weights(), "the demo's")
    file = Vae.find(demo_weights() / "vae.safetensors")
    assert (folder.label, file.label) == ("the demo's", "vae.safetensors")
    assert folder.kind == file.kind == "mugv_vae"
    assert folder.identity() == file.identity()


def test_what_is_no_vae_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds mugv_dit, not mugv_vae or wan_vae"):
        Vae.find(demo_weights() / "dit.safetensors")
    with pytest.raises(ValueError, match="no checkpoint|holds no|not a checkpoint"):
        Vae.find(tmp_path)
