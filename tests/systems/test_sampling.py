# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.renoise import seed_keys
from mugv_jax.flow.sampler import Sample
from mugv_jax.flow.schedule import sample_times
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import batch_sharding
from mugv_jax.systems.sampling import (
    Start,
    denoise,
    groups,
    rows_at_a_time,
    sample_group,
    seed_noise,
)
from tests.flow.denoisers import FunctionDenoiser

SHAPE = (3, 2, 2, 4)
ONE, TWO = meshes.make_mesh(), meshes.make_mesh({"data": 2})


@dataclasses.dataclass(frozen=True)
class Towards(FunctionDenoiser):
    """Denoiser that knows the clean latent: its condition, doubled by `read`."""

    def velocity(self, variables, x, t, condition):
        at = jnp.maximum(t, 1e-6)[..., None, None, None]
        return variables * (condition - x) / at

    def read(self, variables, condition):
        del variables
        return 2 * condition


def latents(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, *SHAPE)).astype(np.float32)


def sampled(mesh, start, condition, *, steps=4, strength=1.0, variables=1.0, **options):
    with meshes.use(mesh):
        return sample_group(
            Towards(),
            jnp.float32(variables),
            mesh,
            start,
            times=sample_times(steps, 1.0, strength),
            positive=condition,
            **{"guidance": Guidance(scale=1.0)} | options,
        )


@pytest.mark.parametrize("mesh", [ONE, TWO], ids=["one device", "two data shards"])
def test_samples_are_what_the_read_condition_says(mesh):
    made = sampled(mesh, Start.from_noise(seed_noise([1, 2], SHAPE)), latents(2))
    np.testing.assert_allclose(made.x, 2 * latents(2), rtol=0, atol=1e-5)
    assert made.x.sharding.is_equivalent_to(batch_sharding(mesh, 2), made.x.ndim)


@pytest.mark.parametrize("mesh", [ONE, TWO], ids=["one device", "two data shards"])
def test_fresh_noise_of_a_row_is_its_own(mesh):
    seeds, condition = [5, 9], latents(2)
    options = {"steps": 2, "strength": 1.0, "variables": 0.5}
    start = Start.from_noise(seed_noise(seeds, SHAPE))
    made = sampled(mesh, start, condition, renoise=seed_keys(seeds), **options)
    start = Start.from_noise(seed_noise(seeds[1:], SHAPE))
    alone = sampled(ONE, start, condition[1:], renoise=seed_keys(seeds[1:]), **options)
    np.testing.assert_allclose(made.x[1:], alone.x, rtol=0, atol=1e-6)
    other = sampled(ONE, start, condition[1:], renoise=seed_keys([7]), **options)
    assert float(jnp.abs(other.x - alone.x).max()) > 0.1


def test_what_is_placed_on_the_mesh_already_is_taken_as_it_is():
    """Noise and conditions of a preview in training are on the mesh."""
    noise, condition = (
        jax.device_put(each, batch_sharding(TWO, 2))
        for each in (seed_noise([1, 2], SHAPE), jnp.asarray(latents(2)))
    )
    options = {"negative": condition, "guidance": Guidance(scale=3.0)}
    made = sampled(TWO, Start.from_noise(noise), condition, **options)
    assert made.evaluations == 8
    np.testing.assert_allclose(made.x, 2 * latents(2), rtol=0, atol=1e-5)
    assert not noise.is_deleted()
    assert not condition.is_deleted()


def test_rows_hold_their_own_frames():
    given, noise = latents(2, seed=1), latents(2, seed=2)
    noisy = np.array([[False, True, True], [True, True, False]])
    clean = np.where(noisy[..., None, None, None], 0, given)
    made = np.asarray(sampled(ONE, Start(clean, noisy, noise), latents(2)).x)
    np.testing.assert_array_equal(made[~noisy], given[~noisy])
    np.testing.assert_allclose(made[noisy], 2 * latents(2)[noisy], rtol=0, atol=1e-5)


def test_a_video_to_start_from_is_noised_to_the_first_time():
    clean, noise = latents(1, seed=1), latents(1, seed=2)
    start = Start(clean, np.ones((1, 3), bool), noise)
    made = sampled(ONE, start, latents(1), steps=2, strength=0.5)
    np.testing.assert_allclose(made.x, 2 * latents(1), rtol=0, atol=1e-5)
    at_half = sampled(ONE, start, clean, steps=1, strength=0.5, variables=0.0)
    np.testing.assert_array_equal(at_half.x, 0.5 * clean + 0.5 * noise)  # nothing moved


def test_noise_is_of_the_seed_alone():
    np.testing.assert_array_equal(seed_noise([3, 9], SHAPE)[1], seed_noise([9], SHAPE)[0])


def test_groups_are_of_one_size_and_rows_fill_the_shards():
    assert list(groups(5, 2)) == [[0, 1], [2, 3], [4, 4]]
    assert list(groups(1, 3)) == [[0, 0, 0]]
    assert [rows_at_a_time(TWO, rows) for rows in (None, 1, 2, 3)] == [2, 2, 2, 4]
    assert [rows_at_a_time(ONE, rows) for rows in (None, 3)] == [1, 3]
    with pytest.raises(ValueError, match="rows=0 must be at least 1"):
        rows_at_a_time(ONE, 0)


def test_prompts_are_sampled_group_by_group(caplog):
    asked = []

    def sample(group, label):
        asked.append((group, label))
        x = jnp.asarray(group, jnp.float32)[:, None, None, None, None]
        return Sample(x, evaluations=len(asked), possible=7)

    with caplog.at_level("INFO"):
        made = denoise(3, ONE, sample, rows=2)
    labels = ["denoising video 1-2 of 3", "denoising video 3 of 3"]
    assert asked == list(zip([[0, 1], [2, 2]], labels))
    assert [float(each.latent.item()) for each in made] == [0, 1, 2]
    assert [each.evaluations for each in made] == [1, 1, 2]
    assert "denoising video 3 of 3: 2 of 7 evaluations" in caplog.text
    caplog.clear()
    denoise(1, TWO, sample, progress=False)
    assert asked[-1] == ([0, 0], None)
    assert "computes 2 videos at a time, but there are 1 prompts" in caplog.text
    assert "evaluations" not in caplog.text
