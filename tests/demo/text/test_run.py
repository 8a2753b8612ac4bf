# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from flax import traverse_util

from mugv_jax.demo.text.probe import masked_accuracy, probe
from mugv_jax.demo.text.run import draw_captions, train, write
from mugv_jax.demo.world.scene import WORLDS
from mugv_jax.nn.text import tokenizer
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.train import loop
from mugv_jax.weights.load import load
from tests.demo.text.conftest import TINY

FLOAT32_RELATIVE_L2 = 1e-5  # the same weights, two frameworks
FALL = 0.5  # nats; the loss starts near log(vocab_size) = 5.6


@pytest.mark.usefixtures("trained")
def test_the_loss_falls(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(10, TINY.steps + 1, 10))
    assert lines[-1]["train/loss"] < lines[0]["train/loss"] - FALL


def test_a_stopped_run_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(loop.Stop, "asked", lambda _, step: step >= 30)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path)
    monkeypatch.undo()
    again = train(TINY, tmp_path)
    assert again.vocabulary.model == trained.vocabulary.model
    jax.tree.map(np.testing.assert_array_equal, again.params, trained.params)


def test_the_folder_holds_the_trained_weights(trained, folder):
    config, variables = load(folder, "t5_encoder")
    assert config == trained.config
    assert config.vocab_size == tokenizer.load(str(folder)).vocab_size
    found = traverse_util.flatten_dict(variables["params"], sep="/")
    expected = traverse_util.flatten_dict(trained.params, sep="/")
    assert found.keys() == expected.keys()
    for path, value in found.items():
        assert value.dtype == jnp.bfloat16
        np.testing.assert_array_equal(value, expected[path].astype(jnp.bfloat16), err_msg=path)


def test_transformers_gives_the_same_states(folder):
    config, variables = load(folder, "t5_encoder", dtype="float32")
    ids, mask = tokenizer.load(str(folder)).tokenize(draw_captions("unseen", 4), max_tokens=40)
    with jax.default_matmul_precision("highest"):
        encoder = T5Encoder(config, jnp.float32)
        ours = np.asarray(encoder.apply(variables, jnp.asarray(ids), jnp.asarray(mask)))[mask]
    theirs = transformers.T5EncoderModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        states = theirs(torch.tensor(ids).long(), torch.tensor(mask)).last_hidden_state.numpy()
    assert np.linalg.norm(ours - states[mask]) <= FLOAT32_RELATIVE_L2 * np.linalg.norm(ours)
    assert 0.5 < ours.std() < 2


def test_an_encoder_is_replaced_only_with_overwrite(trained, folder):
    with pytest.raises(ValueError, match=r"model\.safetensors exists; pass --overwrite"):
        write(trained, folder)
    before = (folder / "model.safetensors").read_bytes()
    write(trained, folder, overwrite=True)
    assert (folder / "model.safetensors").read_bytes() == before
    assert {each.name for each in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "spiece.model",
    }
    assert json.loads((folder / "config.json").read_text())["d_model"] == TINY.width


def test_held_out_captions_are_scored(trained):
    blind = trained._replace(params=jax.tree.map(jnp.zeros_like, trained.params))
    small = WORLDS["small"]
    assert min(masked_accuracy(trained, small, count=128).values()) > 0.05
    assert max(masked_accuracy(blind, small, count=128).values()) == 0
    for split, right in probe(trained, small, fitted=512, count=256).items():
        assert right["shape"] > 0.7, split  # one in four by chance
        assert right["colour"] > 0.7, split  # one in six
