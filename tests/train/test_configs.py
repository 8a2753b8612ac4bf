# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Every shipped config parses and fits its model and mesh; its docstring's figures are right."""

import dataclasses
import itertools
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from configs import shapes, training
from mugv_jax import config as configs
from mugv_jax.config import build_group
from mugv_jax.cost.chips import peak_of
from mugv_jax.sharding.mesh import AXES
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.systems.mugv import cost as flops
from mugv_jax.systems.system import find
from mugv_jax.train.curriculum import Curriculum, Stage
from mugv_jax.train.optimizer import learning_rate
from mugv_jax.train.train_config import DiTTrainConfig, from_config_dict, group_classes
from mugv_jax.weights.registry import MODELS as MODEL_KINDS

ROOT = Path(__file__).parents[2] / "configs"
MODELS = sorted(ROOT.glob("mugv_*.py"))
STAGES = [ROOT / "stages" / f"{name}.py" for name in ("small", "stage1", "stage2", "stage3", "sft")]
CONTENTV = [
    *(ROOT / f"contentv_{name}.py" for name in ("8b", "debug")),
    *(
        ROOT / "contentv" / f"{name}.py"
        for name in ("adaptation", "stage1", "stage2", "stage3", "sft")
    ),
]  # the figures of the latter: test_contentv_configs.py
POST = sorted((ROOT / "post").glob("[a-z]*.py"))
HOURS = re.compile(
    r"Hours: ([\d,]+) steps x (\d+) shards x ([\d.]+) PFLOP / "
    r"\((\d+) chips x (\d+) TFLOP/s x ([\d.]+) MFU\) = (\d+)\n"
)
MANY = jax.devices()[:1] * 512  # hold no arrays
THREE_DIGITS = 2e-3  # relative: the docstrings round to as many


def read(path):
    return from_config_dict(configs.read(path))


def hours(path):
    """(steps, shards, PFLOP, chips, TFLOP/s, MFU, hours) from the docstring."""
    found = HOURS.search(path.read_text())
    assert found, path
    return [float(group.replace(",", "")) for group in found.groups()]


def of_one_shard(config, value):
    """Mean over a run's steps of `value(shape)`, summed over the samples of one data shard."""

    def mean(wanted):
        sums = [
            min(config.data.max_rows, config.data.tokens_per_shard // dit_tokens(config, shape))
            * value(shape)
            for shape in config.data.shapes
            if wanted(shape[0])
        ]
        return np.mean(sums) if sums else 0.0

    start, end = config.data.image_share or (0.0, 0.0)
    along = np.minimum(np.arange(config.run.steps) / config.data.image_share_steps, 1)
    images = np.mean(start + (end - start) * along)
    return images * mean(lambda f: f == 1) + (1 - images) * mean(lambda f: f > 1)


def dit_tokens(config, shape):
    return flops.dit_tokens(config.dit, shape)


def model_pflop(config, shape):
    return flops.train_step(config.dit, shape, config.data.text_tokens).model / 1e15


def test_no_config_is_forgotten():
    assert {*MODELS, *STAGES, *CONTENTV, *POST} == {
        path
        for path in ROOT.rglob("*.py")
        if path.name not in ("__init__.py", "training.py", "shapes.py")
        and path.parent.name != "curate"  # those train nothing: tests/curate/test_run.py
        and not path.name.startswith(("vae_", "tiny_decoder_"))  # another trainer's: train/vae
        # Systems that are only sampled.
        and not path.name.startswith(("enhancer", "wan_"))
    }


@pytest.mark.parametrize(
    "path", [*MODELS, *STAGES, *CONTENTV, *POST], ids=lambda path: f"{path.parent.stem}/{path.stem}"
)
def test_a_config_has_a_mesh_and_a_schedule(path):
    config = read(path)
    inner = config.mesh.sizes(len(MANY))
    shape = [inner[axis] for axis in AXES]
    mesh = Mesh(np.array(MANY).reshape(shape), AXES, axis_types=(AxisType.Auto,) * len(AXES))
    options = {"dtype": config.run.dtype, "remat": config.run.remat}
    module = MODEL_KINDS[find(config.system).kinds["dit"]].build
    build_dit(config.dit, mesh, config.mesh, module=module, **options)
    rate = learning_rate(config.optimizer, config.run.steps)
    assert 0 < rate(0) <= config.optimizer.learning_rate
    assert rate(config.optimizer.warmup_steps) == pytest.approx(config.optimizer.learning_rate)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_says_what_it_costs(path):
    config = read(path)
    steps, shards, work, chips, peak, mfu, stated = hours(path)
    assert steps == config.run.steps
    mesh = config.mesh.sizes(int(chips))
    assert shards == mesh["data"] * mesh["fsdp"]
    assert work == pytest.approx(
        of_one_shard(config, lambda shape: model_pflop(config, shape)), rel=THREE_DIGITS
    )
    assert peak * 1e12 == peak_of("NVIDIA H100 80GB HBM3")
    expected = steps * shards * work * 1e15 / (chips * peak * 1e12 * mfu) / 3600
    assert stated == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_the_budget_holds_every_shape_and_wastes_little(path):
    config = read(path)
    budget = config.data.tokens_per_shard
    largest = max(dit_tokens(config, shape) for shape in config.data.shapes)
    assert budget // largest >= 1
    for shape in config.data.shapes:
        tokens = dit_tokens(config, shape)
        rows = min(config.data.max_rows, budget // tokens)
        assert tokens == np.prod(shape) // 4 + 2, "a patch would be padded"
        assert rows * tokens >= (0.9 if shape[0] > 1 else 0.8) * budget, shape


def test_the_stages_follow_the_paper():
    small, one, two, three, sft = map(read, STAGES)
    assert small.dit.width * 2 == one.dit.width == 3456
    assert {shape[0] for shape in small.data.shapes} == {shapes.IMAGE, shapes.TWO_SECONDS}
    assert small.data.shapes == one.data.shapes
    start, end = one.data.image_share
    assert start > end
    assert end < 0.5, "video must dominate in the end"
    assert one.data.image_share_steps < one.run.steps
    assert {shape[0] for shape in two.data.shapes} == {shapes.TWO_SECONDS, shapes.FIVE_SECONDS}
    assert {shape[1:] for shape in two.data.shapes} == set(shapes.SIZES_360P)
    assert set(three.data.shapes) == {(14, *size) for size in shapes.SIZES_720P}
    for stage, given in ((small, 0), (one, 0), (two, 0.5), (three, 0.5), (sft, 0.5)):
        assert stage.tasks.probability["i2v"] == given
    rate = learning_rate(sft.optimizer, sft.run.steps)
    rates = [float(rate(step)) for step in range(100, sft.run.steps + 1, 50)]
    assert all(a > b for a, b in itertools.pairwise(rates))
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert sft.run.steps // sft.checkpoint.archive == 25


def test_stages_one_and_two_see_ten_times_the_samples_of_stage_three():
    one, two, three = (
        read(path).run.steps * hours(path)[1] * of_one_shard(read(path), lambda _: 1)
        for path in STAGES[1:4]
    )
    assert three == 12e6
    assert one + two > 10 * three


def test_the_stages_can_be_run_one_after_the_other():
    stages = [Stage(path.stem, read(path)) for path in STAGES]
    curriculum = Curriculum(stages=stages, devices=MANY)
    growth = curriculum.expansion(stages[0], stages[1])
    assert growth.factor == 2
    assert curriculum.expansion(stages[1], stages[2]) is None


@pytest.mark.parametrize("sizes", [shapes.SIZES_360P, shapes.SIZES_720P])
def test_sizes_have_seven_shapes_of_about_equal_area(sizes):
    assert len({width / height for height, width in sizes}) == len(sizes) == 7
    area = [height * width for height, width in sizes]
    assert min(area) > 0.94 * max(area)
    assert all(side % 2 == 0 for size in sizes for side in size)


def test_the_settings_of_every_run_are_the_defaults_and_all_can_be_set():
    """Values held twice would diverge, and only fields of a config can be set."""
    values, groups = training.get_config(), group_classes(DiTTrainConfig)
    assert set(values) == set(groups)
    for name in set(groups) - {"tasks", "lora"}:  # a run's own shares, and rank 0 for none
        assert build_group(name, groups[name], values[name]) == groups[name](), name
        assert set(values[name]) == {field.name for field in dataclasses.fields(groups[name])}


def test_low_rank_updates_and_freezing_contradict_each_other():
    values = configs.read(ROOT / "mugv_debug.py")
    values = configs.override(values, ["--config.lora.rank=4", "--config.optimizer.freeze=('a',)"])
    with pytest.raises(ValueError, match=r"choose lora\.targets instead"):
        from_config_dict(values)


def test_a_kernel_is_chosen_by_name():
    values = configs.override(configs.read(ROOT / "mugv_debug.py"), ["kernels.modulation=xla"])
    chosen = from_config_dict(values).kernels
    assert (chosen.attention, chosen.modulation) == (None, "xla")
    with pytest.raises(ValueError, match="modulation='xls' must be one of xla, triton"):
        from_config_dict(configs.override(values, ["kernels.modulation=xls"]))
    del values.kernels
    assert from_config_dict(values).kernels.modulation is None
