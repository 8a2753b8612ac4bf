# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward models against transformers and torch: scores, gradients of pixels, absent files."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from mugv_jax.data.fields import BatchSizes
from mugv_jax.rewards.models import Aesthetic, Hpsv2, PickScore
from mugv_jax.rewards.preprocess import DEVIATION, MEAN, PAD
from mugv_jax.weights.formats import open_source
from tests.vocabulary import write_clip_vocabulary

PARITY = 1e-5  # of the largest value
SIDE, WIDTHS = 12, (10, 1024, 128, 64, 16, 1)
CAPTIONS = ["a red ball", "a blue box falls"]
SMALL = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny seeded CLIP with its tokenizer, as transformers saves both, and a predictor."""
    folder = tmp_path_factory.mktemp("clip")
    vocab_size = write_clip_vocabulary(folder, CAPTIONS, "<|endoftext|>")
    torch.manual_seed(0)
    text = {"vocab_size": vocab_size, "max_position_embeddings": 9, "eos_token_id": vocab_size - 1}
    config = transformers.CLIPConfig(
        text_config=SMALL | text | {"hidden_act": "gelu"},
        vision_config=SMALL | {"patch_size": 4, "image_size": SIDE, "hidden_act": "gelu"},
        projection_dim=WIDTHS[0],
    )
    model = transformers.CLIPModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    sizes = itertools.pairwise(WIDTHS)
    linear = [torch.nn.Linear(before, after) for before, after in sizes]
    drop = torch.nn.Dropout(0.2)
    head = torch.nn.ModuleDict(
        {"layers": torch.nn.Sequential(*(x for pair in zip(linear[:3], [drop] * 3) for x in pair),
                                       *linear[3:])}
    )  # fmt: skip
    safetensors.torch.save_file(head.state_dict(), folder / "head.safetensors")
    torch.save(head.state_dict(), folder / "head.pth")
    return folder


@pytest.fixture(scope="module")
def pixels():
    """Clips of 3 frames (b f h w 3), far enough from black and white that nothing is clipped."""
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3, 20, 31, 3)).astype(np.float32)


def batch_of(reward) -> dict[str, jax.Array]:
    """Captions as the reward's fields put them into a batch."""
    sizes = BatchSizes((1, 1, 1), text_tokens=4)
    (field,) = reward.fields
    return {key: jnp.asarray(value) for key, value in field.stack(CAPTIONS, sizes).items()}


def reference(folder, given, score, *, frames, fit):
    """Mean score of the frames, by transformers and torch's own resizing."""
    clip = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    ids = tokenizer(CAPTIONS, return_tensors="pt", padding="max_length", max_length=9)
    found = []
    for frame in frames:
        x = given[:, frame].permute(0, 3, 1, 2) / 2 + 0.5
        size = (8, SIDE) if fit == PAD else (SIDE, 18)
        x = torch.nn.functional.interpolate(x, size=size, mode="bicubic", antialias=True)
        x = torch.nn.functional.pad(x, (0, 0, 2, 2)) if fit == PAD else x[..., 3 : 3 + SIDE]
        mean, deviation = (torch.tensor(each)[:, None, None] for each in (MEAN, DEVIATION))
        output = clip(input_ids=ids["input_ids"], pixel_values=(x - mean) / deviation)
        found.append(score(output))
    return torch.stack(found).mean(0)


def pick(output):
    return torch.diagonal(output.logits_per_image)


def hps(output):
    return (output.image_embeds * output.text_embeds).sum(1)


def aesthetic(folder, output):
    x, weights = output.image_embeds, torch.load(folder / "head.pth")
    for place in (0, 2, 4, 6, 7):
        x = x @ weights[f"layers.{place}.weight"].T + weights[f"layers.{place}.bias"]
    return x[:, 0]


@pytest.mark.parametrize("name", ["pick", "hps", "aesthetic"])
def test_rewards_and_their_gradient_are_those_of_transformers(name, folder, pixels):
    frames = (0, 2)
    options = {"folder": str(folder), "frames": frames}
    reward, score = {
        "pick": lambda: (PickScore(**options), pick),
        "hps": lambda: (Hpsv2(**options), hps),
        "aesthetic": lambda: (
            Aesthetic(**options, head=str(folder / "head.pth")),
            functools.partial(aesthetic, folder),
        ),
    }[name]()
    given = torch.from_numpy(pixels).requires_grad_()
    expected = reference(folder, given, score, frames=frames, fit=reward.FIT)
    expected.sum().backward()

    batch = batch_of(reward) if reward.fields else {}

    @jax.jit
    def run(variables, pixels):
        def total(pixels):
            found = reward(variables, pixels, batch)
            return jnp.sum(found), found

        return jax.grad(total, has_aux=True)(pixels)

    gradient, found = run(reward.variables, pixels)
    for ours, theirs in ((found, expected), (gradient, given.grad)):
        theirs = np.asarray(theirs.detach())
        assert np.abs(ours - theirs).max() < PARITY * np.abs(theirs).max()
    assert not np.any(gradient[:, 1])  # a frame that is not read


def test_variables_are_an_input_of_the_program_and_in_host_memory(folder):
    reward = PickScore(folder=str(folder), dtype="bfloat16")
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(reward.variables))
    narrow = reward.variables["clip_vision"]["params"]["patch"]["kernel"]
    assert narrow.dtype == jnp.bfloat16
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), reward.variables)
    clip = jax.ShapeDtypeStruct((2, 1, 20, 31, 3), jnp.float32)
    ids = {"caption_ids": jax.ShapeDtypeStruct((2, 9), jnp.int32)}
    found = jax.eval_shape(reward, abstract, clip, ids)
    assert (found.shape, found.dtype) == ((2,), jnp.float32)


def test_a_predictor_as_safetensors_is_the_same(folder):
    one, other = (
        Aesthetic(folder=str(folder), head=str(folder / f"head.{ending}")).layers
        for ending in ("pth", "safetensors")
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)


def open_clip_names(name, value):
    """Names of open_clip for a tensor of transformers' CLIPModel, and the tensor in its layout."""
    side, _, inner = name.partition("_model.")
    if side not in ("vision", "text"):
        known = {"visual_projection.weight": "visual.proj", "text_projection.weight": TEXT_PROJ}
        return (known[name], value.T) if name in known else (name, value)
    for there, here in OPEN_CLIP:
        inner = inner.replace(there, here)
    return ("visual." if side == "vision" else "") + inner, value


TEXT_PROJ = "text_projection"
OPEN_CLIP = (
    ("embeddings.class_embedding", "class_embedding"),
    ("embeddings.patch_embedding", "conv1"),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("embeddings.token_embedding", "token_embedding"),
    ("pre_layrnorm", "ln_pre"),
    ("post_layernorm", "ln_post"),
    ("final_layer_norm", "ln_final"),
    ("encoder.layers", "transformer.resblocks"),
    ("layer_norm", "ln_"),
    ("self_attn.out_proj", "attn.out_proj"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
)


def test_a_file_of_open_clip_holds_the_same(folder, tmp_path):
    """HPSv2 is published so: q, k and v in one tensor, and projections transposed."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    renamed = dict(open_clip_names(name, value) for name, value in tensors.items())
    for name in [name for name in renamed if "self_attn.q_proj" in name]:
        parts = [renamed.pop(name.replace("q_proj", f"{x}_proj")) for x in "qkv"]
        layer, leaf = name.split("self_attn")[0], name.rpartition(".")[2]
        renamed[f"{layer}attn.in_proj_{leaf}"] = torch.cat(parts)
    assert {"visual.proj", "text_projection", "logit_scale"} <= renamed.keys()
    file = tmp_path / "HPS_v2.1_compressed.pt"
    torch.save({"state_dict": renamed | {"attn_mask": torch.zeros(9, 9)}}, file)
    with open_source(file) as source, open_source(folder) as expected:
        assert source.shapes == expected.shapes
        for name in source.specs:
            np.testing.assert_array_equal(source.read(name), expected.read(name))
    reward = Hpsv2(folder=str(file), tokenizer=str(folder))
    assert reward.configs["clip_vision"].depth == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": ()}, r"frames=\(\) must be different numbers of frames, from 0"),
        ({"frames": (-1,)}, r"frames=\(-1,\) must be different"),
        ({"frames": (1, 1)}, r"frames=\(1, 1\) must be different"),
        ({"dtype": "float16"}, "dtype='float16' must be one of float32, bfloat16"),
        ({"folder": "nowhere"}, "folder='nowhere' must hold CLIP .* nowhere: there is no such"),
        ({"tokenizer": "nowhere"}, "no readable CLIP tokenizer in 'nowhere'"),
    ],
)
def test_bad_options_are_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        PickScore(**{"folder": str(folder)} | options)


def test_what_a_folder_lacks_is_named(folder, tmp_path):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    for name in ("config.json", "vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    file = tmp_path / "model.safetensors"

    def save(left):
        safetensors.torch.save_file({k: x for k, x in tensors.items() if left(k)}, file)

    save(lambda name: name != "logit_scale")
    Hpsv2(folder=str(tmp_path))  # needs none
    with pytest.raises(ValueError, match="has no number logit_scale"):
        PickScore(folder=str(tmp_path))
    save(lambda name: not name.startswith("text"))
    with pytest.raises(ValueError, match=r"has no usable clip_text: .*text"):
        Hpsv2(folder=str(tmp_path))
    save(lambda name: name != "vision_model.post_layernorm.bias")
    with pytest.raises(ValueError, match=r"clip_vision: .*missing: vision_model.post_layernorm"):
        Hpsv2(folder=str(tmp_path))
    with pytest.raises(ValueError, match=r"linearMSE.* summaries of width 10; .*missing: layers.0"):
        Aesthetic(folder=str(folder), head=str(folder / "model.safetensors"))


def test_frames_beyond_those_that_are_decoded_are_refused(folder):
    reward = Hpsv2(folder=str(folder), frames=(0, 3))
    with pytest.raises(ValueError, match=r"frames=\(0, 3\) must be below 3"):
        jax.eval_shape(reward, reward.variables, jnp.zeros((1, 3, 20, 31, 3)), {})


def test_a_long_caption_is_cut_without_a_warning_in_every_batch(folder, caplog):
    (field,) = Hpsv2(folder=str(folder)).fields
    sizes = BatchSizes((1, 1, 1), text_tokens=4)
    ids = field.stack(["a red ball " * 50], sizes)["caption_ids"]
    whole = field.stack(["a red ball a red ball a"], sizes)["caption_ids"]
    np.testing.assert_array_equal(ids, whole)
    assert not caplog.records


def test_a_tokenizer_of_another_model_is_refused(folder, tmp_path):
    write_clip_vocabulary(tmp_path, ["many further words of another model"], "<|endoftext|>")
    with pytest.raises(ValueError, match=r"tokens, but the text encoder in .* only"):
        PickScore(folder=str(folder), tokenizer=str(tmp_path))
