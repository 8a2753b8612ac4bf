# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance, guide
from mugv_jax.flow.path import frame_times, interpolate
from mugv_jax.flow.renoise import seed_keys, step_noise
from mugv_jax.flow.sampler import StopSampling, sample
from mugv_jax.flow.schedule import (
    check_times,
    given_times,
    logit_normal,
    sample_times,
    shift_ratio,
    shift_time,
)
from tests.flow.denoisers import denoiser

SHAPE = (2, 3, 4, 5, 6)


def latents(seed):
    keys = jax.random.split(jax.random.key(seed), 2)
    return jax.random.normal(keys[0], SHAPE), jax.random.normal(keys[1], SHAPE)


def test_path_starts_at_data_ends_at_noise_and_moves_with_its_velocity():
    x_0, noise = latents(0)
    at = lambda t: interpolate(x_0, noise, jnp.full(SHAPE[:2], t))  # noqa: E731
    np.testing.assert_array_equal(at(0.0)[0], x_0)
    np.testing.assert_array_equal(at(1.0)[0], noise)
    np.testing.assert_allclose((at(0.4)[0] - at(0.6)[0]) / 0.2, at(0.5)[1], rtol=1e-3, atol=1e-4)


def test_given_frames_have_time_zero_whatever_the_sample_has():
    noisy = jnp.array([[False, True, True], [True, True, False]])
    t = frame_times(jnp.array([700.0, 20.0]), noisy)
    np.testing.assert_array_equal(t, [[0, 700, 700], [20, 20, 0]])


def test_shift_fixes_its_ends_and_pushes_large_videos_towards_noise():
    ratio = shift_ratio(720, 1280, 14)
    np.testing.assert_allclose(ratio, np.sqrt(720 * 1280 / 512**2 * 14), rtol=1e-12)
    u = jnp.linspace(0, 1, 11)
    t = np.asarray(shift_time(u, ratio))
    assert t[0] == 0
    assert t[-1] == 1
    assert np.all(np.diff(t) > 0)
    assert np.all(t[1:-1] > u[1:-1])
    np.testing.assert_allclose(shift_time(u, 1.0), u, atol=1e-7)


@pytest.mark.parametrize("start", [1.0, 0.6])
def test_sample_times_fall_from_the_shifted_start_to_zero(start):
    times = sample_times(7, 3.5, start)
    assert times.shape == (8,)
    assert times[-1] == 0
    assert np.all(np.diff(times) < 0)
    np.testing.assert_allclose(times[0], shift_time(jnp.float32(start), 3.5), rtol=1e-6)


def test_logit_normal_is_symmetric_about_one_half():
    u = logit_normal(jnp.array([-2.0, 0.0, 2.0]))
    np.testing.assert_allclose(u, [1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-2)], rtol=1e-6)


def test_guidance_of_one_is_the_conditional_velocity_and_rescale_keeps_its_spread():
    positive, negative = latents(1)
    np.testing.assert_allclose(
        guide(positive, negative, Guidance(scale=1.0)), positive, rtol=1e-5, atol=1e-6
    )
    strong = guide(positive, negative, Guidance(scale=8.0))
    rescaled = guide(positive, negative, Guidance(scale=8.0, rescale=1.0))
    axes = (1, 2, 3, 4)
    assert np.all(np.std(strong, axis=axes) > 3 * np.std(positive, axis=axes))
    np.testing.assert_allclose(np.std(rescaled, axis=axes), np.std(positive, axis=axes), rtol=1e-4)


def pull(variables, x, t, condition):
    """Exact velocity towards the condition's point, which Euler's method must reach."""
    time = jnp.maximum(t, 1e-6)[..., None, None, None]
    return variables["strength"] * (condition["target"] - x) / time


@pytest.mark.parametrize("together", [False, True])
def test_sampler_lands_on_the_target_and_leaves_given_frames_alone(together):
    x, target = latents(2)
    noisy = jnp.array([[False, True, True], [True, False, True]])
    out = sample(
        denoiser(pull),
        {"strength": jnp.float32(1.0)},
        jnp.array(x),
        times=sample_times(5, 2.0),
        noisy=noisy,
        positive={"target": target},
        negative={"target": jnp.zeros(SHAPE)},
        guidance=Guidance(scale=1.0, together=together),
    ).x
    expected = np.where(np.asarray(noisy)[..., None, None, None], target, x)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "guidance",
    [
        Guidance(scale=3.0, interval=(0.0, 0.0)),
        Guidance(scale=3.0, skip_steps=(0, 1, 2)),
        Guidance(scale=1.0),
    ],
)
def test_unguided_steps_never_evaluate_the_negative_condition(guidance):
    x, target = latents(3)
    arguments = {
        "times": sample_times(3, 1.0),
        "noisy": jnp.ones(SHAPE[:2], bool),
        "positive": {"target": target},
        "negative": {"target": jnp.full(SHAPE, jnp.nan)},
        "guidance": guidance,
    }
    out = sample(denoiser(pull), {"strength": jnp.float32(1.0)}, jnp.array(x), **arguments).x
    np.testing.assert_allclose(out, target, rtol=1e-4, atol=1e-4)


def test_both_forwards_together_equal_one_after_the_other():
    x, target = latents(4)
    outs = [
        sample(
            denoiser(pull),
            {"strength": jnp.float32(0.5)},
            jnp.array(x),
            times=sample_times(4, 2.0),
            noisy=jnp.ones(SHAPE[:2], bool),
            positive={"target": target},
            negative={"target": -target},
            guidance=Guidance(scale=4.0, rescale=0.5, together=together),
        ).x
        for together in (False, True)
    ]
    np.testing.assert_allclose(outs[0], outs[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "fields", [{"scale": -1.0}, {"rescale": 1.5}, {"interval": (0.8, 0.2)}, {"interval": (0, 2)}]
)
def test_guidance_out_of_range_is_refused(fields):
    with pytest.raises(ValueError, match="guidance"):
        Guidance(**fields)


def halfway(variables, x, t, condition):
    """Velocity whose estimate at time 0 lies between x and the condition's point."""
    del variables
    return (condition["target"] - x) / (2 * jnp.maximum(t, 1e-6)[..., None, None, None])


def renoised_by_hand(x, target, noisy, seeds, times):
    rows = noisy[..., None, None, None]
    for number, after in enumerate(times[1:], start=1):
        estimate = np.where(rows, (x + target) / 2, x)
        noise = np.asarray(step_noise(seed_keys(seeds), number, SHAPE[1:]))
        x = np.where(rows, (1 - after) * estimate + after * noise, x)
    return x


def test_with_fresh_noise_between_steps_estimates_are_noised_again():
    x, target = latents(5)
    noisy = np.array([[False, True, True], [True, True, True]])
    times, seeds, seen = given_times((1.0, 0.7, 0.2)), (11, 4), []
    options = {
        "times": times,
        "noisy": jnp.asarray(noisy),
        "positive": {"target": target},
        "guidance": Guidance(scale=1.0),
        "renoise": seed_keys(seeds),
    }

    def watch(end):
        seen.append((np.asarray(end.x), np.asarray(end.estimate())))

    made = sample(denoiser(halfway), {}, jnp.array(x), on_step=watch, **options)
    assert made.evaluations == 3
    expected = renoised_by_hand(np.asarray(x), np.asarray(target), noisy, seeds, times)
    np.testing.assert_allclose(made.x, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(made.x)[~noisy], np.asarray(x)[~noisy])
    for number, (at, estimate) in enumerate(seen, start=1):
        noise = np.asarray(step_noise(seed_keys(seeds), number, SHAPE[1:]))
        rows = noisy[..., None, None, None]
        again = np.where(rows, (1 - times[number]) * estimate + times[number] * noise, estimate)
        np.testing.assert_allclose(at, again, rtol=1e-5, atol=1e-5)

    def stop(end):
        if end.index == 1:
            raise StopSampling

    stopped = sample(denoiser(halfway), {}, jnp.array(x), on_step=stop, **options)
    assert stopped.stopped
    np.testing.assert_allclose(stopped.x, seen[1][1], rtol=1e-6)


def test_fresh_noise_of_a_row_does_not_depend_on_its_batch():
    together = step_noise(seed_keys((3, 9)), 1, SHAPE[1:])
    np.testing.assert_array_equal(together[1:], step_noise(seed_keys((9,)), 1, SHAPE[1:]))
    again = step_noise(seed_keys((9,)), 2, SHAPE[1:])
    for other in (together[:1], again, jax.random.normal(jax.random.key(9), SHAPE[1:])[None]):
        assert abs(float(jnp.mean(other * together[1:]))) < 0.2  # 360 values: 4 deviations
    assert float(jnp.std(again)) == pytest.approx(1, abs=0.15)


def test_reuse_of_velocities_is_refused_beside_fresh_noise():
    x, target = latents(6)
    with pytest.raises(ValueError, match=r"reuse threshold=0.1 with renoise: .* to 0"):
        sample(
            denoiser(halfway), {}, x, times=given_times((1.0,)), noisy=jnp.ones(SHAPE[:2], bool),
            positive={"target": target}, guidance=Guidance(scale=1.0), reuse_threshold=0.1,
            renoise=seed_keys((1, 2)),
        )  # fmt: skip


@pytest.mark.parametrize(
    "times", [(), (0.9, 0.5), (1.0, 1.0), (1.0, 0.5, 0.7), (1.0, 0.0), (1.0, float("nan"))]
)
def test_times_that_do_not_fall_from_noise_are_refused(times):
    with pytest.raises(ValueError, match=r"times=.* must be 1 to 1000 falling numbers above 0"):
        check_times(times)
