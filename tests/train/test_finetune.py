# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a fine-tuning run chooses from weights and samples."""

from pathlib import Path

import numpy as np
import pytest

from mugv_jax import config as configs
from mugv_jax.systems.mugv.defaults import Defaults
from mugv_jax.train import finetune
from mugv_jax.train.finetune import Base, Samples, choose
from mugv_jax.train.train_config import from_config_dict

DEMO, FULL = configs.load("mugv_demo"), configs.load("mugv_10b")


def base(config=DEMO, **changes):
    return Base(
        **{"dit": Path("dit.pt"), "vae": Path("vae.pt"), "config": config,
           "defaults": Defaults(steps=8, guidance=3.0), "stated": config is DEMO} | changes
    )  # fmt: skip


def samples(clips=12, pictures=0, **changes):
    rows = [(3, 8, 8)] * clips + [(1, 8, 8)] * pictures
    shapes = np.array(rows, np.int32).reshape(-1, 3)
    return Samples(**{"own": Path("own"), "shapes": shapes, "text_tokens": 19} | changes)


def chosen(*arguments, devices=1, cpu=True, **options):
    return {c.field: c.value for c in choose(*arguments, devices=devices, cpu=cpu, **options)}


@pytest.mark.parametrize("config", [DEMO, FULL], ids=["demo", "10b"])
@pytest.mark.parametrize(
    "what",
    [samples(), samples(60, 5), samples(0, 4), samples(priors=96, prior=Path("prior"))],
    ids=["few", "many", "pictures", "prior"],
)
def test_the_choices_are_a_valid_config_of_the_base(config, what):
    values = base(config)
    choices = choose(values, what, devices=8, cpu=False)
    made = from_config_dict(finetune.config_of(values, choices, configs.read(finetune_config())))
    assert made.dit == config.dit
    assert made.lora.rank == finetune.RANK
    assert made.run.steps > made.optimizer.warmup_steps
    assert {each.reason for each in choices} >= {"the base"}
    training = configs.read(finetune_config())
    assert training.run.weights == ""  # what was given is not changed


def finetune_config():
    from mugv_jax.commands.finetune import TRAINING

    return TRAINING


def test_own_clips_are_half_of_what_is_trained_on():
    values = chosen(base(), samples(12, prior=Path("prior"), priors=96))
    assert values["data.paths"] == ("own",) * 8 + ("prior",)
    assert chosen(base(), samples(300, prior=Path("p"), priors=10))["data.paths"] == ("own", "p")
    assert chosen(base(), samples())["data.paths"] == ("own",)


def test_steps_follow_from_the_number_of_clips_within_bounds():
    few, most = finetune.STEPS
    assert chosen(base(), samples(3))["run.steps"] == few
    assert chosen(base(), samples(300))["run.steps"] == 100 * 300 // finetune.ROWS
    assert chosen(base(FULL), samples(12))["run.steps"] == 1200
    assert chosen(base(FULL), samples(12), devices=2)["run.steps"] == 600
    assert chosen(base(FULL), samples(500))["run.steps"] == most
    assert chosen(base(), samples(300), steps=7)["run.steps"] == 7


def test_validation_needs_samples_to_hold_out():
    few, many = chosen(base(), samples(39)), chosen(base(), samples(40))
    assert few["log.validate_every"] == 0
    assert few["data.holdout_paths"] == ("own",)
    assert many["log.validate_every"] > 0
    assert many["data.holdout"] > 0
    assert "data.holdout_paths" not in many


def test_a_large_model_saves_memory_and_a_small_one_time():
    small, large = chosen(base(), samples()), chosen(base(FULL), samples(), devices=8, cpu=False)
    assert (small["run.remat"], small["run.dtype"]) == ("none", "float32")
    assert "run.remat" not in large  # the config's own saves most
    assert (large["run.dtype"], large["mesh.fsdp"], large["data.max_rows"]) == ("bfloat16", 8, 1)
    assert large["optimizer.learning_rate"] < small["optimizer.learning_rate"]
    assert small["data.text_tokens"] == 24
    assert "data.text_tokens" not in large


def test_pictures_alone_are_trained_from_text_only():
    assert "tasks.probability.i2v" not in chosen(base(), samples(0, 12))


def test_the_users_own_values_win():
    values = chosen(base(), samples(), rank=4, learning_rate=0.5)
    assert (values["lora.rank"], values["lora.alpha"]) == (4, 4.0)
    assert values["optimizer.learning_rate"] == 0.5


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="own holds no samples"):
        choose(base(), samples(0), devices=1, cpu=True)


def test_a_choice_is_printed_with_its_reason():
    assert str(finetune.Choice("run.steps", 3, "why")) == "run.steps=3  (why)"
    assert str(finetune.Choice("a.b", ("x", "x", "y"), "c")) == "a.b='x' x 2, 'y'  (c)"
