# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of post-training: losses with their gradients, and the gradient of a reward by sampling."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.integrate import integrate
from mugv_jax.flow.schedule import sample_times
from mugv_jax.golden.cases import Case, Outputs
from mugv_jax.train.loss import velocity_loss
from mugv_jax.train.objectives import dpo, kto
from mugv_jax.train.reference import reward


def on_devices(arrays: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """The arrays of a case, where they are computed with."""
    return {name: jnp.asarray(array) for name, array in arrays.items()}


def dpo_loss(case: Case) -> Outputs:
    a = on_devices(case.arrays)
    settings = dpo.Settings(beta=case.spec["beta"], sft_weight=case.spec["sft_weight"])
    noisy = a["noisy"].astype(bool)

    def errors(win: Array, lose: Array) -> dpo.Errors:
        return dpo.Errors(
            velocity_loss(win, a["target_win"], noisy), velocity_loss(lose, a["target_lose"], noisy)
        )

    reference = errors(a["reference_win"], a["reference_lose"])

    def mean(win: Array, lose: Array) -> tuple[Array, dpo.Preference]:
        found = dpo.dpo_loss(errors(win, lose), reference, settings)
        return jnp.mean(found.loss), found

    graded = jax.jit(jax.value_and_grad(mean, argnums=(0, 1), has_aux=True))
    (loss, found), (d_win, d_lose) = graded(a["policy_win"], a["policy_lose"])
    return _outputs(
        case,
        loss_per_pair=found.loss,
        loss=loss,
        reward_win=found.reward_win,
        reward_lose=found.reward_lose,
        accuracy=jnp.mean((found.reward_win > found.reward_lose).astype(jnp.float32)),
        gradient_win=d_win,
        gradient_lose=d_lose,
    )


def kto_loss(case: Case) -> Outputs:
    a = on_devices(case.arrays)
    noisy, desirable = a["noisy"].astype(bool), a["desirable"].astype(bool)
    reference = velocity_loss(a["reference"], a["target"], noisy)
    names = ("beta", "desirable_weight", "undesirable_weight", "sft_weight")
    settings = kto.Settings(**{name: case.spec[name] for name in names})

    def mean(policy: Array) -> tuple[Array, tuple[Array, ...]]:
        error = velocity_loss(policy, a["target"], noisy)
        rewards = reward(error, reference, settings.beta)
        baseline = kto.kto_baseline(rewards)
        loss = kto.kto_loss(error, rewards, baseline, desirable, settings)
        return jnp.mean(loss), (loss, rewards, baseline)

    (loss, (each, rewards, baseline)), gradient = jax.jit(jax.value_and_grad(mean, has_aux=True))(
        a["policy"]
    )
    return _outputs(
        case,
        loss_per_sample=each,
        loss=loss,
        reward=rewards,
        baseline=baseline,
        gradient=gradient,
    )


@dataclasses.dataclass(frozen=True)
class _Linear(Denoiser[None]):
    """v(x, t) = x A + t c, of vectors in the place of channels."""

    def velocity(self, variables: Any, x: Array, t: Array, condition: None) -> Array:
        del condition
        time = t[:, :, None, None, None] * variables["c"][None, None, None, None]
        return jnp.einsum("bfhwc,cd->bfhwd", x, variables["A"]) + time

    def condition(self, batch: Mapping[str, Array]) -> None:
        del batch

    def abstract_condition(self, *_: Any, **__: Any) -> None:
        """Nothing is read beside latent and time."""


def reward_gradient(case: Case) -> Outputs:
    a = on_devices(case.arrays)
    times = sample_times(case.spec["steps"], case.spec["shift"])
    noise = a["noise"][:, None, None, None]

    def mean(variables: dict[str, Array]) -> tuple[Array, tuple[Array, Array]]:
        x = integrate(
            _Linear(nn.Dense(1)), variables, noise,
            times=times, noisy=jnp.ones(noise.shape[:2], bool), positive=None, chosen=a["chosen"],
        )[:, 0, 0, 0]  # fmt: skip
        rewards = jnp.tanh(x @ a["w"])
        return jnp.mean(rewards), (x, rewards)

    graded: Callable = jax.jit(jax.grad(mean, has_aux=True))
    gradient, (x, rewards) = graded({"A": a["A"], "c": a["c"]})
    return _outputs(
        case, times=times, x=x, reward=rewards, gradient_A=gradient["A"], gradient_c=gradient["c"]
    )


def _outputs(case: Case, **ours: Any) -> Outputs:
    """Ours beside the reference's arrays "out_NAME"."""
    return {name: (np.asarray(value), case.arrays[f"out_{name}"]) for name, value in ours.items()}


KINDS = {"dpo_loss": dpo_loss, "kto_loss": kto_loss, "reward_gradient": reward_gradient}
