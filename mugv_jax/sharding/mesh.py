# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The device mesh: named axes that the rules in `rules.py` refer to."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AbstractMesh, AxisType, Mesh

from mugv_jax.sharding.rules import RULES

# Slowest links first: neighbours along the last axis are the closest devices.
AXES = ("pipeline", "data", "fsdp", "sequence", "tensor")
MAX_DEVICES = 2**20  # more than any machine has; XLA takes no more than 2**31
# Axes that may cross from one group of well-connected devices to another, best first.
CROSSING = ("data", "pipeline", "fsdp")


def make_mesh(
    sizes: Mapping[str, int] | None = None, *, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Build a mesh of `sizes` over the first devices; axes are ordered as AXES, missing ones are 1.

    Neighbours on the mesh are neighbours in hardware: on the torus within a slice of TPUs, and only
    along the axes of CROSSING between slices.

    devices: for example those of another machine, to compile ahead of time; None takes all.

    Raises:
        ValueError: an unknown axis, a size below 1, more devices than there are, or
            slices that no axis can cross.
    """
    shape = _shape(sizes)
    devices = jax.devices() if devices is None else list(devices)
    count = math.prod(shape)
    if count > len(devices):
        raise ValueError(
            f"mesh {_text(sizes or {})} needs {count} devices, but there are {len(devices)} "
            f"({devices[0].platform}). Choose axes whose product is at most {len(devices)}."
        )
    devices = devices[:count]
    slices = {getattr(device, "slice_index", 0) for device in devices}
    if len(slices) > 1:
        arranged = _over_slices(shape, devices, len(slices))
    else:
        arranged = mesh_utils.create_device_mesh(
            shape, devices, allow_split_physical_axes=devices[0].platform == "tpu"
        )
    return Mesh(arranged, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _over_slices(shape: Sequence[int], devices: Sequence[jax.Device], slices: int) -> np.ndarray:
    """Arrange the devices of several slices: fast links inside each, a slow network between."""
    outer = dict.fromkeys(AXES, 1)
    left = slices
    for axis in CROSSING:
        outer[axis] = math.gcd(shape[AXES.index(axis)], left)
        left //= outer[axis]
    if left > 1:
        raise ValueError(
            f"mesh {_text(dict(zip(AXES, shape)))} over {slices} slices: only "
            f"{', '.join(CROSSING)} may cross from slice to slice. Make their product a multiple "
            f"of {slices}."
        )
    inner = [size // outer[axis] for axis, size in zip(AXES, shape)]
    return mesh_utils.create_hybrid_device_mesh(
        inner, list(outer.values()), devices, allow_split_physical_axes=True
    )


def abstract_mesh(sizes: Mapping[str, int] | None = None) -> AbstractMesh:
    """Mesh of devices that need not exist, to compute the shape of every shard.

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
    if math.prod(shape) > MAX_DEVICES:
        raise ValueError(f"mesh {sizes}: its product must be at most {MAX_DEVICES} devices.")
    return shape


def parse_mesh(text: str) -> dict[str, int]:
    """Sizes of axes from text such as "data=2,tensor=4".

    Raises:
        ValueError: text of another form.
    """
    sizes: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        axis, equals, size = part.partition("=")
        if not equals or not size.strip().isdecimal() or len(size.strip()) > 6:
            raise ValueError(f"mesh {text!r}: write axes as data=2,tensor=4 ({', '.join(AXES)}).")
        if axis.strip() in sizes:
            raise ValueError(f"mesh {text!r} names axis {axis.strip()!r} twice.")
        sizes[axis.strip()] = int(size)
    return sizes


def _text(sizes: Mapping[str, int]) -> str:
    return ",".join(f"{axis}={size}" for axis, size in sizes.items()) or "of one device"


@contextlib.contextmanager
def use(mesh: Mesh) -> Iterator[None]:
    """Make `mesh` and the rules current, so that logical constraints inside take effect."""
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        yield
