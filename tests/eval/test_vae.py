# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax import config as configs
from mugv_jax.eval.vae import Vae
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.systems.mugv.models import demo_weights
from tests.eval.videos import frames
from tests.systems.mugv.folders import SMALL


@pytest.mark.parametrize("name", ["mugv", "contentv"])
def test_a_clip_comes_back_at_its_size(name):
    config = SMALL if name == "mugv" else configs.load("contentv_debug")
    vae = Vae.random(config, "random")
    x = frames(9, (32, 16))
    with vae.loaded(make_mesh(), jnp.float32) as reconstruct:
        made = reconstruct(x)
    assert made.shape == x.shape
    assert made.dtype == np.uint8
    assert made.std() > 1
    assert vae.identity()["digest"] == "random"


def test_the_vae_is_found_in_a_folder_of_weights_or_by_its_file():
    folder = Vae.find(demo_weights(), "the demo's")
    file = Vae.find(demo_weights() / "vae.safetensors")
    assert (folder.label, file.label) == ("the demo's", "vae.safetensors")
    assert folder.kind == file.kind == "mugv_vae"
    assert folder.identity() == file.identity()


def test_what_is_no_vae_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds mugv_dit, not mugv_vae or wan_vae"):
        Vae.find(demo_weights() / "dit.safetensors")
    with pytest.raises(ValueError, match=r"no checkpoint|holds no|not a checkpoint"):
        Vae.find(tmp_path)
