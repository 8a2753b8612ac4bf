# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The device mesh: named axes that the rules in `rules.py` refer to."""

import contextlib
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax
from jax.sharding import AbstractMesh, AxisType, Mesh

from mugv_jax.sharding.rules import RULES

AXES = ("data", "fsdp", "sequence", "tensor")


def make_mesh(sizes: Mapping[str, int] | None = None) -> Mesh:
    """A mesh of `sizes` (axes left out are 1) over the first devices, axes in the order of AXES.

    Raises:
        ValueError: an unknown axis, a size below 1, or more devices asked for than there are.
    """
    shape = _shape(sizes)
    devices = jax.devices()
    count = 1
    for size in shape:
        count *= size
    if count > len(devices):
        raise ValueError(
            f"mesh {_text(sizes or {})} needs {count} devices, but there are {len(devices)} "
            f"({devices[0].platform}). Choose axes whose product is at most {len(devices)}."
        )
    return jax.make_mesh(
        shape, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices[:count]
    )


def abstract_mesh(sizes: Mapping[str, int] | None = None) -> AbstractMesh:
    """A mesh of devices that need not exist: it tells the shape of every shard.

    Raises:
        ValueError: an unknown axis, or a size below 1.
    """
    return AbstractMesh(_shape(sizes), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _shape(sizes: Mapping[str, int] | None) -> tuple[int, ...]:
    """Sizes of all axes, in the order of AXES."""
    sizes = dict(sizes or {})
    unknown = sorted(set(sizes) - set(AXES))
    if unknown:
        raise ValueError(f"mesh axis {unknown[0]!r} is unknown; the axes are {', '.join(AXES)}.")
    shape = tuple(sizes.get(axis, 1) for axis in AXES)
    if min(shape) < 1:
        raise ValueError(f"mesh {sizes}: every axis must be at least 1.")
    return shape


def parse_mesh(text: str) -> dict[str, int]:
    """Sizes from text such as "data=2,tensor=4".

    Raises:
        ValueError: text of another form.
    """
    sizes: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        axis, equals, size = part.partition("=")
        if not equals or not size.strip().isdigit():
            raise ValueError(f"mesh {text!r}: write axes as data=2,tensor=4 ({', '.join(AXES)}).")
        if axis.strip() in sizes:
            raise ValueError(f"mesh {text!r} names axis {axis.strip()!r} twice.")
        sizes[axis.strip()] = int(size)
    return sizes


def _text(sizes: Mapping[str, int]) -> str:
    return ",".join(f"{axis}={size}" for axis, size in sizes.items()) or "of one device"


@contextlib.contextmanager
def use(mesh: Mesh) -> Iterator[None]:
    """Makes `mesh` and the rules current: logical constraints inside take effect."""
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        yield
