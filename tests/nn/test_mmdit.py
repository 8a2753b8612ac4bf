# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import jax
import numpy as np
import pytest
import safetensors.torch
import torch

from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.mmdit.block import JointBlock, attend_jointly
from mugv_jax.nn.mmdit.model import MMDiT, MMDiTConfig
from mugv_jax.weights.load import load
from tests.nn.sd3 import make_of_pictures, make_transformer, velocity
from tests.nn.test_vae import PARITY, relative_error

CONFIG = MMDiTConfig(
    depth=3, num_heads=2, head_dim=24, in_channels=4, out_channels=4, text_dim=20, pooled_dim=12
)
VIDEO_TOKENS, TEXT_TOKENS = 10, 5


@pytest.fixture(scope="module")
def published():
    return make_transformer(CONFIG)


@pytest.fixture(scope="module")
def params(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("mmdit") / "transformer.safetensors"
    safetensors.torch.save_file(published.state_dict(), path)
    config, variables = load(path)
    assert config == CONFIG
    return variables["params"]


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("block", [0, 1, 2], ids=["first", "second", "last"])
def test_a_block_is_that_of_stable_diffusion_3(block, published, params):
    """The last block only reads the text."""
    width, last = CONFIG.width, block == CONFIG.depth - 1
    x, text, embed = draw((2, VIDEO_TOKENS, width), (2, TEXT_TOKENS, width), (2, width))
    with torch.no_grad():
        expected = published.transformer_blocks[block](
            hidden_states=torch.from_numpy(x),
            encoder_hidden_states=torch.from_numpy(text),
            temb=torch.from_numpy(embed),
        )
    module = JointBlock(
        CONFIG, np.float32, attend_jointly, Modulation(), (VIDEO_TOKENS, TEXT_TOKENS), last=last
    )
    of_block = params["last_block"] if last else jax.tree.map(lambda p: p[block], params["blocks"])
    (x, text), _ = jax.jit(module.apply)({"params": of_block}, (x, text), jax.nn.silu(embed))
    assert relative_error(x, expected[1].numpy()) < PARITY
    if last:
        assert expected[0] is None
    else:
        assert relative_error(text, expected[0].numpy()) < PARITY


@pytest.mark.parametrize("frames", [1, 3])
def test_the_whole_of_it_is_made_of_them(frames, published, params):
    x, text, pooled = draw((2, frames, 4, 6, 4), (2, TEXT_TOKENS, 20), (2, 12))
    t = np.array([3.0, 870.5], np.float32)
    latent = torch.from_numpy(x).movedim(-1, 1)
    expected = velocity(published, latent, *map(torch.from_numpy, (t, text, pooled)))
    apply = jax.jit(functools.partial(MMDiT(CONFIG).apply, {"params": params}))
    ours = apply(x, t, text, pooled)
    assert relative_error(ours, expected.movedim(1, -1).numpy()) < PARITY


def test_stable_diffusion_has_its_layers(tmp_path):
    """As the start of training: the table of positions in a picture is left out."""
    pictures = make_of_pictures(CONFIG)
    pictures.save_pretrained(tmp_path)
    config, variables = load(tmp_path, "contentv_dit", collections=("params",))
    assert config == CONFIG
    found = variables["params"]["patch_embed"]["kernel"]
    kernel = pictures.pos_embed.proj.weight.detach().permute(2, 3, 1, 0).flatten(0, 2).numpy()
    np.testing.assert_array_equal(found, kernel)
    assert set(variables) == {"params"}
    assert "last_block" in variables["params"]
