# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math
from pathlib import Path

import pytest

from mugv_jax import config as configs
from mugv_jax.compile.estimate import Assumptions
from mugv_jax.compile.predict import candidates, predict
from mugv_jax.compile.report import Request
from mugv_jax.compile.search import ranked
from mugv_jax.cost.chips import CHIPS
from mugv_jax.nn.dit.remat import POLICIES
from mugv_jax.systems.mugv.cost import train_step
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.train.train_config import from_config_dict

V5P = CHIPS["v5p"]
SIZE = VideoSize(width_px=1280, height_px=720, frames=105)


@pytest.fixture(scope="module")
def config():
    path = Path(__file__).parents[2] / "configs" / "mugv_10b.py"
    return from_config_dict(configs.read(path))


def predicted(config, chips=64, remat="full", **axes):
    inner = math.prod(size for name, size in axes.items() if name != "microbatches")
    parallel = dataclasses.replace(config.mesh, data=chips // inner, **axes)
    run = dataclasses.replace(config.run, remat=remat)
    config = dataclasses.replace(config, run=run)
    return predict(config, parallel, SIZE.latent_shape, V5P, Assumptions())


def test_every_candidate_is_a_whole_mesh_that_the_model_divides_over(config):
    found = list(candidates(config, 48))
    assert len({dataclasses.astuple(each) for each in found}) == len(found)
    for each in found:
        assert math.prod(each.sizes(48).values()) == 48
        assert config.dit.num_heads % each.tensor == 0
        assert config.dit.depth % each.pipeline == 0
        assert each.microbatches % each.pipeline == 0 or each.pipeline == 1
    assert {each.tensor for each in found} == {1, 2, 3, 4, 6, 8, 12, 16, 24, 48}
    assert {each.pipeline for each in found} == {1, 2, 4, 8}  # depth 56


def test_without_exchanges_time_is_that_of_the_arithmetic(config):
    one = predicted(config, chips=1)
    step = train_step(config.dit, SIZE.latent_shape, 300)
    assert one.seconds == pytest.approx(step.model / V5P.peak_flops / one.mfu)
    assert 0.1 < one.mfu < 1


def test_splitting_costs_time_and_saves_memory(config):
    whole = predicted(config, fsdp=64)
    for axis in ("sequence", "tensor"):
        split = predicted(config, fsdp=16, **{axis: 4})
        assert split.mfu < whole.mfu
        assert split.nbytes < whole.nbytes


def test_a_pipeline_idles_less_with_more_microbatches(config):
    few, many = (
        predicted(config, fsdp=16, pipeline=4, microbatches=microbatches)
        for microbatches in (4, 32)
    )
    assert few.mfu < many.mfu < predicted(config, fsdp=64).mfu


def test_a_ring_sends_more_than_an_exchange_of_heads(config):
    ring = dataclasses.replace(config.mesh, sequence_method="ring")
    ulysses = predicted(config, fsdp=4, sequence=16)
    rung = predicted(dataclasses.replace(config, mesh=ring), fsdp=4, sequence=16)
    assert rung.seconds > ulysses.seconds


def test_what_is_kept_is_not_computed_again(config):
    found = {remat: predicted(config, fsdp=16, sequence=4, remat=remat) for remat in POLICIES}
    assert found["none"].mfu == found["dots"].mfu > found["offload"].mfu > found["full"].mfu
    assert found["attention"].mfu == found["offload"].mfu
    order = ("offload", "full", "attention", "dots", "none")
    assert sorted(order, key=lambda remat: found[remat].nbytes) == list(order)


def test_the_best_mesh_fits_and_comes_first(config):
    found = ranked(Request(config=config, topology="v5p:4x4x4", size=SIZE), 64)
    assert all(each.nbytes <= V5P.hbm_bytes for each in found)
    shares = [round(each.mfu, 3) for each in found]
    assert shares == sorted(shares, reverse=True)


def test_a_slice_too_small_for_any_mesh_is_refused(config):
    with pytest.raises(ValueError, match="no mesh of 4 chips of v5e:2x2"):
        ranked(Request(config=config, topology="v5e:2x2", size=SIZE), 4)
