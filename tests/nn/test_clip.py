# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from mugv_jax import golden
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.weights.tables import clip
from tests.nn.test_vae import PARITY, relative_error
from tests.weights.checkpoints import GOLDEN

FOLDER = GOLDEN.parent / "contentv"
LIVE = {
    "vocab_size": 60, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 9, "projection_dim": 10,
    "hidden_act": "quick_gelu", "bos_token_id": 57, "eos_token_id": 58, "pad_token_id": 1,
}  # fmt: skip


@pytest.mark.parametrize("case", ["clip_l_tiny", "clip_g_tiny"])
def test_golden_numbers(case):
    outputs = golden.kinds()["clip_text"](golden.read_case(FOLDER / f"{case}.json"))
    assert set(outputs) == {"pooled", "penultimate"}
    for name, (ours, reference) in outputs.items():
        assert relative_error(ours, reference) < PARITY, name


@pytest.mark.parametrize("change", [{}, {"eos_token_id": 2}, {"hidden_act": "gelu"}])
def test_transformers_gives_the_same(change, tmp_path):
    """Texts may hold the end token twice, or not at all."""
    torch.manual_seed(1)
    published = LIVE | change
    config = transformers.CLIPTextConfig(**published, attn_implementation="eager")
    theirs = transformers.CLIPTextModelWithProjection(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    tensors = {name: value.numpy() for name, value in theirs.state_dict().items()}
    shapes = {name: value.shape for name, value in tensors.items()}
    case = golden.Case(
        path=tmp_path / "case.json",
        spec={"kind": "clip_text", "config": published, "tensors": shapes},
        arrays={},
        dtype=jnp.float32,
    )
    module, variables = golden.build(case, lambda name, shape: tensors[name].reshape(shape))
    ids = np.random.default_rng(0).integers(0, 57, (3, 9))
    end = module.config.end
    ids[0, 4:] = end
    ids[1, 8] = end
    with torch.no_grad():
        expected = theirs(torch.from_numpy(ids), output_hidden_states=True)
    out = jax.jit(module.apply)(variables, ids.astype(np.int32))
    assert relative_error(out.penultimate, expected.hidden_states[-2].numpy()) < PARITY
    ended = slice(None) if end == 58 else slice(0, 2)  # elsewhere the published end is the largest
    assert relative_error(out.pooled[ended], expected.text_embeds.numpy()[ended]) < PARITY


def test_sizes_are_read_off_the_published_shapes():
    shapes = {
        "text_model.embeddings.token_embedding.weight": (49408, 1280),
        "text_model.embeddings.position_embedding.weight": (77, 1280),
        "text_projection.weight": (1280, 1280),
        **{f"text_model.encoder.layers.{n}.mlp.fc1.weight": (5120, 1280) for n in range(32)},
    }
    assert clip.infer_config(shapes) == ClipTextConfig(
        vocab_size=49408, width=1280, mlp_dim=5120, depth=32, num_heads=20, features=1280,
        activation="gelu",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"not a CLIP .* no text_projection\.weight"):
        clip.infer_config({name: shapes[name] for name in shapes if "projection" not in name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "relu"}, "activation='relu' must be one of gelu, quick_gelu"),
        ({"num_heads": 5}, "width=24 must divide by num_heads=5"),
        ({"end": 60}, "end=60 must be in the vocabulary of 60"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    sizes = {"vocab_size": 60, "width": 24, "mlp_dim": 40, "depth": 2, "num_heads": 4,
             "features": 10, "end": 58}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        ClipTextConfig(**sizes | change)
