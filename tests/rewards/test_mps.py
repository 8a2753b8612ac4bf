# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MPS against its formulas in NumPy, on encodings by transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from mugv_jax.data.fields import BatchSizes
from mugv_jax.rewards.mps import Mps
from mugv_jax.rewards.preprocess import preprocess
from tests.vocabulary import write_clip_vocabulary

PARITY = 1e-5  # of the largest value
CAPTIONS, CONDITION = ["a red ball", "a blue box falls"], "colour falls"
HEADS, HEAD_DIM, FEATURES, LAYERS, SIDE = 16, 64, 16, 2, 12
SMALL = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny seeded CLIP with its tokenizer, and a cross model with the constants of its file."""
    folder = tmp_path_factory.mktemp("mps")
    vocab_size = write_clip_vocabulary(folder, [*CAPTIONS, CONDITION], "<|endoftext|>")
    torch.manual_seed(0)
    text = {"vocab_size": vocab_size, "max_position_embeddings": 9, "eos_token_id": vocab_size - 1}
    config = transformers.CLIPConfig(
        text_config=SMALL | text,
        vision_config=SMALL | {"patch_size": 4, "image_size": SIDE},
        projection_dim=FEATURES,
    )
    model = transformers.CLIPModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        model.text_model.embeddings.token_embedding.weight *= 30  # so that tokens differ
    model.save_pretrained(folder)
    inner, wide = HEADS * HEAD_DIM, 4 * FEATURES
    shapes = {
        "0.fn.norm.weight": (FEATURES,),
        "0.fn.to_q.weight": (inner, FEATURES),
        "0.fn.to_kv.weight": (2 * HEAD_DIM, FEATURES),
        "0.fn.to_out.weight": (FEATURES, inner),
        "0.fn.ff.0.weight": (2 * wide, FEATURES),
        "0.fn.ff.2.weight": (FEATURES, wide),
        "1.fn.norm.weight": (FEATURES,),
        "1.fn.fused_attn_ff_proj.weight": (inner + 2 * HEAD_DIM + 2 * wide, FEATURES),
        "1.fn.attn_out.weight": (FEATURES, inner),
        "1.fn.ff_out.1.weight": (FEATURES, wide),
    }
    constants = {"0.fn.norm.bias": FEATURES, "1.fn.norm.bias": FEATURES,
                 "1.fn.rotary_emb.inv_freq": HEAD_DIM // 2}  # fmt: skip
    tensors = {}
    for n in range(LAYERS):
        for name, shape in shapes.items():
            tensors[f"layers.{n}.{name}"] = torch.randn(shape) / shape[-1] ** 0.5
        tensors |= {f"layers.{n}.{name}": torch.zeros(size) for name, size in constants.items()}
    safetensors.torch.save_file(tensors, folder / "cross.safetensors")
    return folder


def crossed(x, text, weights):
    """The cross model on one picture and the text tokens that are shown, a head at a time."""

    def norm(x, scale):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale

    def swiglu(x):
        value, gate = np.split(x, 2, axis=-1)
        return value * gate / (1 + np.exp(-gate))

    def turned(x):
        """Component i with i + HEAD_DIM / 2 as a complex number, turned by its place."""
        rate = 10000.0 ** (-2 * np.arange(HEAD_DIM // 2) / HEAD_DIM)
        pairs = x[:, : HEAD_DIM // 2] + 1j * x[:, HEAD_DIM // 2 :]
        pairs = pairs * np.exp(1j * np.arange(len(x))[:, None] * rate)
        return np.concatenate([pairs.real, pairs.imag], axis=1)

    def attend(q, k, v):
        heads = []
        for one in q:
            score = np.exp(one @ k.T / HEAD_DIM**0.5)
            heads.append(score / score.sum(-1, keepdims=True) @ v)
        return np.concatenate(heads, axis=-1)

    for n in range(LAYERS):
        w = {k.removeprefix(f"layers.{n}."): v.T for k, v in weights.items() if f"layers.{n}." in k}
        y = norm(x, w["0.fn.norm.weight"])
        k, v = np.split(text @ w["0.fn.to_kv.weight"], 2, axis=-1)
        q = np.split(y @ w["0.fn.to_q.weight"], HEADS, axis=-1)
        x = x + attend(q, k, v) @ w["0.fn.to_out.weight"]
        x = x + swiglu(y @ w["0.fn.ff.0.weight"]) @ w["0.fn.ff.2.weight"]
        y = norm(x, w["1.fn.norm.weight"])
        cuts = np.cumsum([HEADS * HEAD_DIM, HEAD_DIM, HEAD_DIM])
        q, k, v, up = np.split(y @ w["1.fn.fused_attn_ff_proj.weight"], cuts, axis=-1)
        q = [turned(one) for one in np.split(q, HEADS, axis=-1)]
        x = x + attend(q, turned(k), v) @ w["1.fn.attn_out.weight"]
        x = x + swiglu(up) @ w["1.fn.ff_out.1.weight"]
    return x


def encoded(folder, pictures):
    """Projected image tokens, and (summary, tokens) of the captions and of the condition."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer([*CAPTIONS, CONDITION], return_tensors="pt", padding="max_length", max_length=9)
    pictures = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2)
    with torch.no_grad():
        text = model.text_model(ids["input_ids"])
        image = model.vision_model(pictures).last_hidden_state
        found = (
            model.visual_projection(image),
            model.text_projection(text.pooler_output),
            model.text_projection(text.last_hidden_state),
            model.logit_scale.exp(),
        )
    return [each.double().numpy() for each in found]


def test_the_score_is_its_formula_and_reaches_the_pixels(folder):
    cross = str(folder / "cross.safetensors")
    reward = Mps(folder=str(folder), cross=cross, condition=CONDITION, frames=(1,))
    pixels = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3, 14, 18, 3)).astype(np.float32)
    (field,) = reward.fields
    batch = field.stack(CAPTIONS, BatchSizes((1, 1, 1), text_tokens=4))

    def total(pixels, variables, batch):
        found = reward(variables, pixels, batch)
        return jnp.sum(found), found

    run = jax.jit(jax.grad(total, has_aux=True))
    gradient, found = run(pixels, reward.variables, batch)
    image, summary, text, scale = encoded(folder, preprocess(jnp.asarray(pixels[:, 1]), SIDE))
    weights = safetensors.torch.load_file(cross)
    weights = {name: value.double().numpy() for name, value in weights.items()}
    expected = []
    for b in range(2):
        near = (text[b] @ text[2].T).max(axis=1)
        shown = near / near.max() > 0.3
        assert 0 < shown.sum() < len(shown)
        y = crossed(image[b], text[b][shown], weights)[0]
        expected.append(scale * y @ summary[b] / np.linalg.norm(y) / np.linalg.norm(summary[b]))
    assert np.abs(found - np.array(expected)).max() < PARITY * np.abs(expected).max()
    assert np.any(gradient[:, 1])
    assert not np.any(gradient[:, [0, 2]])


def test_another_cross_model_is_refused(folder):
    with pytest.raises(ValueError, match=r"must be the cross model of MPS .*width 16; 10 missing"):
        Mps(folder=str(folder), cross=str(folder / "model.safetensors"))
