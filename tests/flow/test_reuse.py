# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import sample
from mugv_jax.flow.schedule import sample_times
from tests.flow.denoisers import denoiser

SHAPE = (2, 3, 4, 4, 2)
STEPS = 12


def tokens(variables, x, t, condition):
    """Input of a first block; given frames do not count."""
    del variables, condition
    return jnp.where((t > 0)[:, :, None, None, None], x, 0).reshape(x.shape[0], -1, x.shape[-1])


def bent(variables, x, t, condition):
    """Velocity that changes direction with the latent and with time."""
    time = t[:, :, None, None, None]
    return condition["target"] - x * (variables["bend"] + jnp.sin(3 * time))


def start():
    """Latents and the point that attracts them."""
    return [jax.random.normal(key, SHAPE) for key in jax.random.split(jax.random.key(0), 2)]


def run(threshold, *, rows=slice(None), frames=slice(None), guidance=None, given=()):
    """Sample from some rows and frames of `start`, with the frames in `given` fixed."""
    x, target = (array[rows, frames] for array in start())
    noisy = jnp.ones(x.shape[:2], bool).at[:, list(given)].set(False)
    return sample(
        denoiser(bent, tokens),
        {"bend": jnp.float32(0.5)},
        x,
        times=sample_times(STEPS, 1.0),
        noisy=noisy,
        positive={"target": target},
        negative={"target": -target},
        guidance=guidance or Guidance(scale=1.0),
        reuse_threshold=threshold,
    )


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_threshold_of_zero_is_the_full_run(scale):
    full, zero = (run(value, guidance=Guidance(scale=scale)) for value in (1e-9, 0.0))
    np.testing.assert_array_equal(full.x, zero.x)
    possible = STEPS if scale == 1 else 2 * STEPS
    assert full.evaluations == zero.evaluations == full.possible == possible


def test_a_large_threshold_evaluates_the_first_and_the_last_step():
    made = run(1e6, guidance=Guidance(scale=3.0))
    assert (made.evaluations, made.possible) == (2 * 2, 2 * STEPS)
    assert np.all(np.isfinite(made.x))


def test_the_error_falls_with_the_threshold_while_evaluations_rise():
    full = run(0.0)
    made = [run(threshold) for threshold in (0.4, 0.2, 0.1)]
    errors = [np.linalg.norm(each.x - full.x) / np.linalg.norm(full.x) for each in made]
    counts = [each.evaluations for each in made]
    assert counts == sorted(counts)
    assert 2 < counts[0] < counts[-1] < STEPS
    assert errors[0] > errors[1] > errors[2] > 0
    assert errors[2] < 0.02


def test_the_sample_that_changes_most_decides_for_its_batch():
    alone = [run(0.2, rows=slice(i, i + 1)).evaluations for i in range(2)]
    assert run(0.2).evaluations >= max(alone)


def test_given_frames_stay_and_have_no_say():
    """The change of the other frames is measured as without given ones."""
    made = run(0.2, given=(0,))
    np.testing.assert_array_equal(made.x[:, 0], start()[0][:, 0])
    assert 2 < made.evaluations == run(0.2, frames=slice(1, None)).evaluations < STEPS


def test_guidance_switched_on_or_off_is_evaluated():
    guidance = Guidance(scale=3.0, interval=(0.3, 0.7))
    made = run(1e6, guidance=guidance)
    # first (off), switched on, switched off, last
    assert made.evaluations == 1 + 2 + 1 + 1
    full = run(0.0, guidance=guidance)
    guided = sum(guidance.is_on(i, float(t)) for i, t in enumerate(sample_times(STEPS, 1.0)[:-1]))
    assert full.evaluations == STEPS + guided
    assert full.possible == 2 * STEPS


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(ValueError, match="reuse threshold"):
        run(threshold)
