# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward back-propagation: rises, and is the same on any mesh, in parts and after resuming."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.data.caption_field import CaptionField
from mugv_jax.data.fields import NumberField
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import place_batch
from mugv_jax.train import diffusion
from mugv_jax.train.checkpoint import FOLDER
from mugv_jax.train.decoding import Decoder
from mugv_jax.train.objectives import reward
from mugv_jax.train.rewards import Rewards
from mugv_jax.weights.load import load
from tests.systems.mugv.folders import write_run
from tests.train.runs import tiny, write_samples
from tests.train.test_step import ROWS, distance, null_text, numpy_batch

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
SIZES = VAEConfig(  # 2 pixels and 2 frames a latent
    spatial_channels=(8, 8), spatial_layers=1, temporal_filters=8, temporal_multipliers=(1, 1),
    temporal_layers=1, window_frames=2,
)  # fmt: skip
RED = {"load": "colour", "red": 1.0, "green": -1.0, "blue": -1.0}
GREY = {"load": f"{__name__}:Grey", "weight": 0.5}


class Grey:
    """Closeness of pixels to a sample's own brightness, scaled by a variable."""

    fields = (NumberField("brightness", default=0.5),)
    variables = {"scale": np.float32(0.5)}  # noqa: RUF012

    def __call__(self, variables, pixels, batch):
        wanted = (variables["scale"] * batch["brightness"])[:, None, None, None, None]
        return 1 - jnp.mean(jnp.square(pixels - wanted), axis=(1, 2, 3, 4))


@dataclasses.dataclass(frozen=True)
class Captioned(Grey):
    """A reward that reads captions as well."""

    tokenizer: str

    @property
    def fields(self):
        return (*Grey.fields, CaptionField("caption", tokenizer=self.tokenizer, length=5))

    def __call__(self, variables, pixels, batch):
        return super().__call__(variables, pixels, batch) + batch["caption_ids"][:, 0].astype(
            jnp.float32
        )


def captioned(tokenizer):
    return {"load": f"{__name__}:Captioned", "tokenizer": tokenizer}


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return str(write_run(tmp_path_factory.mktemp("vae") / "vae", "mugv_vae", SIZES))


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Samples, and weights to start from."""
    folder = tmp_path_factory.mktemp("started")
    samples = write_samples(folder / "data", 12, shapes=((3, 4, 4),))
    write_run(folder / "weights", "mugv_dit", tiny(samples).dit)
    return folder


def objective(vae, **fields):
    shared = {"name": "reward", "vae": vae, "rewards": {"red": RED, "grey": GREY}, "steps": 3}
    return shared | {"chosen": 2, "kl_weight": 0.1, "sft_weight": 0.01, "frames": 2} | fields


def config_of(started, vae, *overrides):
    return tiny(
        started / "data", f"run.weights={started / 'weights'}", "run.steps=3", "log.every=1",
        f"data.batch={ROWS}", "data.tokens_per_shard=200", "checkpoint.every=1",
        "optimizer.warmup_steps=0", *overrides, objective=objective(vae),
    )  # fmt: skip


def program_of(config):
    count = int(np.prod([getattr(config.mesh, axis) or 1 for axis in meshes.AXES]))
    return diffusion.make_program(config, config.mesh.make_mesh(jax.devices()[:count]), null_text())


@pytest.fixture(scope="module")
def alone(started, vae):
    """The program on one device, compiled once for all tests."""
    return program_of(config_of(started, vae))


def initial(program, started):
    params = jax.device_get(load(started / "weights", "mugv_dit")[1]["params"])
    return program.start({"params": params})


def step(program, state, number):
    batch = numpy_batch(number) | {"brightness": np.linspace(0, 1, ROWS, dtype=np.float32)}
    with meshes.use(program.mesh):
        state, metrics = program.step(state, place_batch(batch, program.mesh))
    return state, {name: float(x) for name, x in metrics.items() if not np.ndim(x)}


def test_a_step_is_the_same_on_any_mesh_and_in_microbatches_and_raises_the_reward(
    alone, started, vae
):
    mesh = ("mesh.fsdp=2", "mesh.tensor=2", "mesh.sequence=2", "run.accumulate=4")
    split = program_of(config_of(started, vae, *mesh))
    first, second = initial(alone, started), initial(split, started)
    metrics = []
    for number in range(2):
        first, ours = step(alone, first, number)
        second, theirs = step(split, second, number)
        assert ours["reward"] == pytest.approx(ours["reward_red"] + 0.5 * ours["reward_grey"])
        for name in ("loss", "reward", "reward_grey", "distance", "sft"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-3, abs=1e-5), name
        metrics.append(ours)
    assert metrics[0]["distance"] < 1e-10  # at the reference itself, to rounding
    assert metrics[1]["distance"] > 1e-7
    assert distance(jax.device_get(second.params), jax.device_get(first.params)) <= SHARDED
    for number in range(2, 6):
        first, _ = step(alone, first, number)
    _, trained = step(alone, first.replace(step=jnp.zeros_like(first.step)), 0)  # same noise
    assert trained["reward"] > metrics[0]["reward"] + 1e-4


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(alone, started, tmp_path, monkeypatch):
    monkeypatch.setattr(diffusion, "make_program", lambda *_: alone)  # compiled already
    device = jax.devices()[:1]
    assert diffusion.train(alone.config, tmp_path / "straight", device) == 3
    killed = shutil.copytree(tmp_path / "straight", tmp_path / "run") / FOLDER  # after step 1
    for number in ("2", "3"):
        shutil.rmtree(killed / number)
    kept = {"vae", "rewards", "reference", "null_text"}
    assert not [path for path in killed.rglob("*") if kept & {*path.name.split(".")}]
    assert diffusion.train(alone.config, tmp_path / "run", device) == 3
    straight, resumed = (load(tmp_path / run, "mugv_dit")[1] for run in ("straight", "run"))
    jax.tree.map(np.testing.assert_array_equal, straight, resumed)
    assert distance(straight["params"], load(started / "weights", "mugv_dit")[1]["params"]) > 0


def test_a_listed_frame_is_that_of_the_whole_clip(vae):
    decoder = Decoder.of(vae, None, jnp.float32, ())
    variables = decoder.variables(abstract=False)
    latent = jnp.asarray(numpy_batch()["latent"][:1])
    some = ((0,), (1, 4))
    decoders = [decoder, *(dataclasses.replace(decoder, frames=each) for each in some)]
    whole, *found = jax.jit(lambda v, x: [each(v, x) for each in decoders])(variables, latent)
    assert whole.shape == (1, 5, 8, 8, 3)
    for frames, ours in zip(some, found, strict=True):
        np.testing.assert_allclose(ours, whole[:, np.asarray(frames)], atol=1e-5)
    with pytest.raises(ValueError, match="has frame 5, but 3 latent frames are frames 0 to 4"):
        dataclasses.replace(decoder, frames=(5,)).frames_of(3)


def test_shapes_alone_make_a_program_with_rewards_that_read_captions(vae):
    rewards = {"red": RED, "told": captioned("unread")}
    config = tiny("unread", objective=objective("", rewards=rewards))
    mesh = config.mesh.make_mesh(jax.devices()[:1])
    with pytest.raises(ValueError, match="'' must name the checkpoint"):
        diffusion.make_program(config, mesh, null_text())
    config = tiny("unread", objective=objective(vae, rewards=rewards))
    program = diffusion.make_program(config, mesh, null_text(), abstract=True)
    assert set(program.abstract.extra) == {"null_text", "vae", "rewards", "reference"}
    scale = program.abstract.extra["rewards"]["told"]["scale"]  # an input, not a constant
    assert scale.sharding.is_fully_replicated
    batch = program.objective.abstract_batch(mesh, (3, 4, 4), ROWS)
    assert (batch["caption_ids"].shape, batch["caption_ids"].dtype) == ((ROWS, 5), np.int32)
    with meshes.use(mesh):
        _, metrics = jax.eval_shape(program.compiled_step(), program.abstract, batch)
    assert metrics["reward_told"].shape == ()


def test_work_counts_every_step_of_sampling(alone):
    few, batch = alone.objective, numpy_batch()
    many = dataclasses.replace(few, settings=dataclasses.replace(few.settings, steps=6))
    forward = (many.work(batch).flops - few.work(batch).flops) // 3
    assert forward > 0
    assert few.work(batch).flops > (3 + 2 * 4) * forward  # and real clips


def test_rewards_that_read_one_field_differently_are_refused():
    one, other = captioned("a"), captioned("b")
    assert len(Rewards.of({"one": one, "two": one, "grey": GREY}).fields) == 2
    with pytest.raises(ValueError, match=r"one reads .*tokenizer='a'.* and two .*tokenizer='b'"):
        Rewards.of({"one": one, "two": other})


@pytest.mark.parametrize(
    ("load", "says"),
    [
        ("pickscore", "must hold CLIP as transformers saves it"),
        ("hpsv2", "must hold CLIP as transformers saves it"),
        ("mps", r"options .* do not fit .*'cross'"),
        ("aesthetic", "options .* do not fit .*'head'"),
        (
            "clipscore",
            "must be one of colour, pickscore, hpsv2, mps, aesthetic, demo_reward, or",
        ),
    ],
)
def test_published_rewards_have_short_names(load, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        Rewards.of({"one": {"load": load, "folder": str(tmp_path)}})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rewards": {}}, "must name at least one"),
        ({"rewards": {"red": {"weight": 1.0}}}, "it needs 'load'"),
        ({"chosen": 4}, "chosen=4 must be at most steps=3"),
        ({"decode": (0, 0)}, "must be numbers of frames from 0"),
        ({"kl_weight": -1.0}, "kl_weight=-1.0 must be a number from 0 up"),
    ],
)
def test_settings_out_of_range_are_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        reward.Settings(**objective("", **fields))
