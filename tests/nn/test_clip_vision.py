# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP as a pair: both encoders from one folder of transformers, with pixels' gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from mugv_jax.nn.text.clip import ClipTextEncoder
from mugv_jax.nn.vision.clip import ClipImageEncoder, ClipVisionConfig
from mugv_jax.weights.check import variable_shapes
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.tables import clip_vision
from tests.nn.test_vae import PARITY, relative_error

SMALL = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip
TEXT = SMALL | {"vocab_size": 300, "max_position_embeddings": 9, "eos_token_id": 299}


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def pair(request, tmp_path_factory):
    """Tiny seeded CLIP, and the folder that transformers saves it to."""
    torch.manual_seed(0)
    act = {"hidden_act": request.param}
    config = transformers.CLIPConfig(
        text_config=TEXT | act,
        vision_config=SMALL | act | {"patch_size": 4, "image_size": 12},
        projection_dim=10,
    )
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("clip") / "clip"
    model.save_pretrained(folder)
    return model, folder


def test_embeddings_and_the_gradient_of_pixels_are_those_of_transformers(pair):
    theirs, folder = pair
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(2, 12, 12, 3)).astype(np.float32)
    ids = rng.integers(0, 250, (2, 9))
    ids[:, 5] = 299
    given = torch.from_numpy(pixels).permute(0, 3, 1, 2).requires_grad_()
    expected = theirs(input_ids=torch.from_numpy(ids), pixel_values=given)
    (expected.image_embeds * expected.text_embeds).sum().backward()

    config, variables = load(folder, "clip_vision", dtype="float32")
    text_config, text_variables = load(folder, "clip_text", dtype="float32")
    text = ClipTextEncoder(text_config, jnp.float32).apply(
        text_variables, jnp.asarray(ids, jnp.int32)
    )

    def cosine(pixels):
        image = ClipImageEncoder(config, jnp.float32).apply(variables, pixels)
        unit = [each / jnp.linalg.norm(each, axis=-1, keepdims=True)
                for each in (image.pooled, text.pooled)]  # fmt: skip
        return jnp.sum(unit[0] * unit[1]), (unit, image.states)

    (_, (unit, states)), gradient = jax.jit(jax.value_and_grad(cosine, has_aux=True))(pixels)
    hidden = expected.vision_model_output.last_hidden_state
    for ours, reference in (
        (unit[0], expected.image_embeds),
        (unit[1], expected.text_embeds),
        (states, hidden),
        (gradient, given.grad.permute(0, 2, 3, 1)),
    ):
        assert relative_error(ours, reference.detach().numpy()) < PARITY


def test_the_image_encoder_alone_goes_to_orbax_and_back(pair, tmp_path):
    _, folder = pair
    with pytest.raises(ValueError, match="may be any of clip_text, clip_vision; say which"):
        read_config(folder)
    convert(folder, tmp_path / "orbax", kind="clip_vision")
    convert(tmp_path / "orbax", tmp_path / "alone", format="diffusers")
    kind, config = read_config(tmp_path / "alone")
    assert (kind, config) == ("clip_vision", read_config(folder, "clip_vision")[1])
    alone = transformers.CLIPVisionModelWithProjection.from_pretrained(tmp_path / "alone")
    assert alone.visual_projection.weight.shape == (10, 24)


@pytest.mark.parametrize(
    ("width", "heads", "features", "patch", "side", "activation"),
    [
        (768, 12, 512, 32, 224, "quick_gelu"),
        (768, 12, 512, 16, 224, "quick_gelu"),
        (1024, 16, 768, 14, 224, "quick_gelu"),
        (1024, 16, 768, 14, 336, "quick_gelu"),
        (1280, 16, 1024, 14, 224, "gelu"),
    ],
)
def test_published_sizes_are_read_off_the_shapes(width, heads, features, patch, side, activation):
    depth = {768: 12, 1024: 24, 1280: 32}[width]
    sizes = ClipVisionConfig(
        width=width, mlp_dim=4 * width, depth=depth, num_heads=heads, features=features,
        patch_px=patch, side_px=side, activation=activation,
    )  # fmt: skip
    shapes = {
        "visual_projection.weight": (features, width),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, patch, patch),
        "vision_model.embeddings.position_embedding.weight": (sizes.tokens, width),
        **{
            f"vision_model.encoder.layers.{n}.mlp.fc1.weight": (4 * width, width)
            for n in range(depth)
        },
    }
    assert clip_vision.infer_config(shapes) == sizes
    assert clip_vision.config_from_published(clip_vision.published_config(sizes)) == sizes


def test_a_tower_of_full_size_has_the_published_number_of_parameters():
    config = ClipVisionConfig(
        width=1280, mlp_dim=5120, depth=32, num_heads=16, features=1024, patch_px=14,
        activation="gelu",
    )  # fmt: skip
    shapes = variable_shapes(MODELS["clip_vision"], config)
    assert sum(map(np.prod, shapes.values())) == 632_076_800  # ViT-H/14 of OpenCLIP


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, "activation='relu' must be one of gelu, quick_gelu"),
        ({"num_heads": 5}, "width=24 must divide by num_heads=5"),
        ({"patch_px": 5}, "side_px=12 must divide by patch_px=5"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    sizes = {"width": 24, "mlp_dim": 40, "depth": 2, "num_heads": 4, "features": 10,
             "patch_px": 4, "side_px": 12}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        ClipVisionConfig(**sizes | change)


def test_pictures_of_another_size_are_refused():
    config = MODELS["clip_vision"].example
    with pytest.raises(ValueError, match="9x9 pixels: this CLIP reads 8x8"):
        jax.eval_shape(
            ClipImageEncoder(config, jnp.float32).init, jax.random.key(0), jnp.zeros((1, 9, 9, 3))
        )
