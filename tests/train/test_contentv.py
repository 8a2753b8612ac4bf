# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of ContentV: gradients of the loss, caption dropout, shifts, and whole runs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.torch
import torch

from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.nn.mmdit.model import MMDiT
from mugv_jax.systems.system import find
from mugv_jax.train import diffusion
from mugv_jax.train.loss import LossConfig
from mugv_jax.train.noising import NULL_TEXT, NullText
from mugv_jax.train.objective import POLICY
from mugv_jax.train.objectives.flow_matching import FlowMatching, Settings
from mugv_jax.train.tasks import TaskConfig
from mugv_jax.weights.load import load
from tests.nn.sd3 import differentiable_velocity, make_transformer
from tests.nn.test_mmdit import CONFIG
from tests.train.runs import CONTENTV, tiny, write_samples
from tests.train.test_loop import copied, final, train

PARITY = 1e-5  # relative: float32 sums in another order
ROWS, TOKENS = 4, 6
SYSTEM = find("contentv")


def objective(drop=0.0):
    """Flow matching of a small MM-DiT."""
    module = MMDiT(CONFIG)
    return FlowMatching(
        kind="contentv_dit",
        sizes=CONFIG,
        system=SYSTEM,
        module=module,
        denoiser=SYSTEM.denoiser(module),
        tasks=TaskConfig(drop_caption={"t2i": drop, "t2v": drop}),
        loss_config=LossConfig(image_weight=1.0),
        settings=Settings(),
        text_tokens=TOKENS,
    )


def batch_of(frames):
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((ROWS, frames, 4, 6, CONFIG.in_channels))
    text = rng.standard_normal((ROWS, TOKENS, CONFIG.text_dim))
    return {
        "latent": jnp.asarray(latent, jnp.float32),
        "text": jnp.asarray(text, jnp.float32),
        "text_mask": jnp.ones((ROWS, TOKENS), bool),
    }


def null_text():
    text = np.full((TOKENS, CONFIG.text_dim), 0.5, np.float32)
    return NullText(text=text, text_mask=np.ones(TOKENS, bool))


def published_loss(module, prepared):
    """The loss by the published transformer, which predicts noise - x_0."""
    sample, condition = prepared.sample, prepared.condition
    x, target, t, text, pooled = (
        torch.from_numpy(np.array(each))
        for each in (
            sample.x_t, sample.target, MODEL_TIME * sample.t[:, 0],
            condition.text, condition.pooled,
        )
    )  # fmt: skip
    v = differentiable_velocity(module, x.movedim(-1, 1), t, text, pooled).movedim(1, -1)
    return ((-v - target) ** 2).mean()


def test_the_loss_has_the_gradients_of_pytorch(tmp_path):
    published = make_transformer(CONFIG)
    weights, gradients = tmp_path / "weights.safetensors", tmp_path / "gradients.safetensors"
    safetensors.torch.save_file(published.state_dict(), weights)
    _, variables = load(weights)
    ours = objective()
    with jax.default_matmul_precision("highest"):
        prepared = ours.prepare(jax.random.key(3), {NULL_TEXT: null_text()}, batch_of(3))
        loss, found = jax.jit(
            jax.value_and_grad(lambda policy: ours.loss({POLICY: policy}, prepared)[0])
        )(variables)
    expected = published_loss(published, prepared)
    expected.backward()
    assert float(loss) == pytest.approx(expected.item(), rel=PARITY)
    # The last block computes queries of the text that nothing reads.
    of = {
        name: torch.zeros_like(each) if each.grad is None else each.grad
        for name, each in published.named_parameters()
    }
    safetensors.torch.save_file(of, gradients)
    _, wanted = load(gradients)
    total = optax.tree.norm(wanted)
    differences = jax.tree.map(
        lambda a, b: jnp.linalg.norm((a - b).ravel())
        / jnp.maximum(jnp.linalg.norm(b.ravel()), 1e-3 * total),
        found, wanted,
    )  # fmt: skip
    assert max(map(float, jax.tree.leaves(differences))) <= PARITY


def test_a_dropped_caption_loses_states_and_summaries():
    batch, ours = batch_of(3), objective(drop=0.5)
    prepared = ours.prepare(jax.random.key(1), {NULL_TEXT: null_text()}, batch)
    text, pooled = prepared.condition.text, prepared.condition.pooled
    dropped = np.asarray((text == 0.5).all(axis=(1, 2)))
    assert 0 < dropped.sum() < ROWS
    np.testing.assert_array_equal(pooled[dropped], 0.5)
    np.testing.assert_array_equal(pooled[~dropped], batch["text"][~dropped, 0, : CONFIG.pooled_dim])
    np.testing.assert_array_equal(text[~dropped], batch["text"][~dropped, 1:])
    assert text.shape[1] == TOKENS - 1


def test_times_are_shifted_in_samples_and_not_in_training():
    assert objective().shift((32, 54, 96)) == 1
    assert objective().sample_shift((32, 54, 96)) == 17
    assert objective().validation_tasks(3) == ("t2v",)


def test_tasks_with_given_frames_are_refused():
    config = tiny(
        "unread", "tasks.probability.t2v=0.5", "tasks.probability.i2v=0.5", system=CONTENTV
    )
    with pytest.raises(ValueError, match="asks for i2v, but ContentV has one time per video"):
        diffusion.make_program(config, config.mesh.make_mesh(jax.devices()[:1]), null_text())


def test_low_rank_updates_and_their_average_go_on_after_a_stop(tmp_path):
    samples = write_samples(tmp_path / "samples", 4, shapes=((2, 4, 4),), system=CONTENTV)
    fields = ("run.steps=2", "log.every=1", "checkpoint.every=1", "lora.rank=2")
    config, straight = tiny(samples, *fields, system=CONTENTV), tmp_path / "straight"
    assert train(config, straight) == 2
    run = copied((config, straight), tmp_path / "run", step=1)
    assert train(config, run) == 2
    ours, theirs = (final(config, folder)[0] for folder in (run, straight))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert set(ours.params) == {"blocks", "last_block"}
    assert optax.tree.norm(ours.params["last_block"]["text"]["k"]["b"]) > 0
    assert optax.tree.norm(jax.tree.map(jnp.subtract, ours.ema, ours.params)) > 0
