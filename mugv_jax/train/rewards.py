# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rewards with a gradient, as a run uses them: several by name, each with a weight.

    reward = sum over names of weight * reward(pixels, batch)

A reward is a function of decoded pixels and of the batch's condition whose variables are an input
of the whole run, never a constant of the program.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Pixels
from mugv_jax.data.fields import Field, Fields
from mugv_jax.train.plugins import find_function

REWARDS = "rewards"  # name of the rewards' variables among the policies
# Functions that make a reward from its options in the config.
REGISTERED = {
    "colour": "mugv_jax.train.rewards:Colour",
    "pickscore": "mugv_jax.rewards.models:PickScore",
    "hpsv2": "mugv_jax.rewards.models:Hpsv2",
    "mps": "mugv_jax.rewards.mps:Mps",
    "aesthetic": "mugv_jax.rewards.models:Aesthetic",
    "demo_reward": "mugv_jax.demo.reward.model:DemoReward",
}


@runtime_checkable
class Reward(Protocol):
    """A pure differentiable function (variables, pixels, batch) -> (b).

    variables: a tree of arrays in host memory.
    A reward that reads more of a sample than text, text_mask and fps lists those in `fields`.
    """

    @property
    def variables(self) -> Any: ...

    def __call__(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b"]: ...


@dataclasses.dataclass(frozen=True)
class Colour:
    """Closeness of all pixels to one colour, 1 minus the mean squared distance over 4.

    It checks a configuration without any reward model; it says nothing about quality.

    red, green, blue: the colour, each in [-1, 1].

    Raises:
        ValueError: values out of range.
    """

    variables: ClassVar[Mapping] = {}

    red: float
    green: float
    blue: float

    def __post_init__(self):
        for field in ("red", "green", "blue"):
            if not -1 <= getattr(self, field) <= 1:
                raise ValueError(f"{field}={getattr(self, field)} must lie in [-1, 1], as pixels.")

    def __call__(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b"]:
        """Reward of every clip."""
        del variables, batch
        colour = jnp.asarray([self.red, self.green, self.blue], pixels.dtype)
        away = pixels - colour[None, None, None, None]
        return 1 - jnp.mean(jnp.square(away), axis=(1, 2, 3, 4)) / 4


@dataclasses.dataclass(frozen=True, eq=False)
class Rewards:
    """All rewards of a run.

    parts: (reward, weight) by name.
    """

    parts: Mapping[str, tuple[Reward, float]]

    @classmethod
    def of(cls, described: Mapping[str, Mapping[str, Any]]) -> "Rewards":
        """The rewards of the config field `objective.rewards`, see `check_described`.

        Raises:
            ValueError: one that does not exist, options that it does not take, or rewards that read
                fields of one name differently.
        """
        parts = {}
        for name, about in described.items():
            options = {key: value for key, value in about.items() if key not in ("load", "weight")}
            reward = make_reward(f"objective.rewards.{name}.load", about["load"], options)
            parts[name] = (reward, float(about.get("weight", 1.0)))
        found = cls(parts)
        _ = found.fields
        return found

    @property
    def fields(self) -> Fields:
        """Further fields of a sample that the rewards read, each once.

        Raises:
            ValueError: two rewards read fields of one name differently.
        """
        found: dict[str, tuple[str, Field]] = {}
        for name, (reward, _) in self.parts.items():
            for field in getattr(reward, "fields", ()):
                first, known = found.setdefault(field.name, (name, field))
                if known != field:
                    raise ValueError(
                        f"objective.rewards: {first} reads {known!r} of a sample and {name} "
                        f"{field!r}. Fields of one name must be equal: give these rewards the same "
                        "tokenizer, if their vocabulary is the same, or train with one of them."
                    )
        return tuple(field for _, field in found.values())

    def variables(self, *, abstract: bool) -> dict[str, Any]:
        """Variables of every reward by name, or their shapes."""
        found = {name: reward.variables for name, (reward, _) in self.parts.items()}
        if abstract:
            return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), found)
        return found

    def __call__(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> tuple[Float[Array, "b"], dict[str, Float[Array, "b"]]]:
        """(weighted sum, each reward by name) of every clip; computed again for its gradient."""
        found, total = {}, jnp.zeros(len(pixels))
        for name, (reward, weight) in self.parts.items():
            found[name] = jax.checkpoint(reward)(variables[name], pixels, batch)
            total = total + weight * found[name]
        return total, found


def make_reward(field: str, load: str, options: Mapping[str, Any]) -> Reward:
    """The reward that `field` of a config or command names, see `find_function`.

    Raises:
        ValueError: no such function, or options that it does not take.
    """
    make = find_function(field, load, REGISTERED)
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"{field}={load!r}: options {options} do not fit ({error}).") from error


def check_described(described: Mapping[str, Any]) -> None:
    """Check the config field `rewards`: name -> load, perhaps weight, and the reward's options.

    Raises:
        ValueError: no rewards, or one without `load`.
    """
    if not described:
        raise ValueError(
            "rewards={} must name at least one: {name: {'load': module:function, 'weight': 1.0}}, "
            "with further options of that function."
        )
    for name, about in described.items():
        if not isinstance(about, Mapping) or not isinstance(about.get("load"), str):
            raise ValueError(
                f"rewards has {name}={about!r}: it needs 'load', one of {', '.join(REGISTERED)} or "
                "a Python function as module:function that makes the reward."
            )
        if not isinstance(about.get("weight", 1.0), int | float):
            raise ValueError(f"rewards.{name}.weight={about['weight']!r} must be a number.")
