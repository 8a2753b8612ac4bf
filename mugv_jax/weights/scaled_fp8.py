# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights in 8-bit floating point with scales beside them, as ComfyUI stores them.

    LAYER.weight          float8, (outputs, inputs)
    LAYER.scale_weight    or LAYER.weight_scale: one value, or one for each output
    LAYER.scale_input     or LAYER.input_scale: of activations, which no weight needs
    LAYER.comfy_quant     JSON as bytes: {"format": "float8_e4m3fn"}
    scaled_fp8            marks such a file

The weight is `weight * scale`. It is computed in float32 as it is read.
"""

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from mugv_jax.files import parse_json
from mugv_jax.weights.sources import Source, TensorSpec

MARKER = "scaled_fp8"
_SCALES = (".scale_weight", ".weight_scale")
_UNREAD = (".scale_input", ".input_scale")
_DESCRIBED = ".comfy_quant"
# Scales of blocks, and of 4-bit formats.
_OTHER = (".weight_scale_inv", ".weight_scale_2")
_FLOAT8 = ("float8_e4m3fn", "float8_e5m2")


class Unscaled(Source):
    """`source` with `weight * scale` in float32 in place of each weight that has a scale.

    scales: name of a weight -> name of its scale.
    left_out: tensors of the format that are no weights.
    """

    def __init__(self, source: Source, scales: dict[str, str], left_out: set[str]):
        self.path, self.format, self.config = source.path, source.format, source.config
        self.parts, self._source, self._scales = (source,), source, scales
        self.specs = {
            name: TensorSpec(spec.shape, np.dtype(np.float32)) if name in scales else spec
            for name, spec in source.specs.items()
            if name not in left_out
        }

    def read(self, name: str) -> np.ndarray:
        array = self._source.read(name)
        if name not in self._scales:
            return array
        wide = array.astype(np.float32)  # the next read may end the view
        scale = self._source.read(self._scales[name]).astype(np.float32)
        return wide * scale.reshape((-1,) + (1,) * (wide.ndim - 1))


def unscaled(source: Source) -> Source:
    """`source` with its scales applied; itself if it has none.

    Raises:
        ValueError: scales of a format that is not supported, or weights without their scale.
    """
    specs = source.specs
    scales = {
        f"{name.removesuffix(ending)}.weight": name
        for ending in _SCALES
        for name in specs
        if name.endswith(ending)
    }
    marked = {name for name in specs if name.split(".")[-1] == MARKER}
    described = {name for name in specs if name.endswith(_DESCRIBED)}
    other = [name for name in specs if name.endswith(_OTHER)]
    if not (scales or marked or described or other):
        return source
    problems = [f"{name} (scales of blocks)" for name in other]
    for weight, scale in scales.items():
        problems += _misfits(specs, weight, scale)
    if marked or described:
        problems += [
            f"{name} ({spec.dtype} without a scale)"
            for name, spec in specs.items()
            if str(spec.dtype) in _FLOAT8 and name not in marked and name not in scales
        ]
    problems += [f"{name} ({form})" for name in described if (form := _format(source, name))]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{source.path}: 8-bit weights that are not supported: {', '.join(problems[:3])}{more}."
            f" Each must be {' or '.join(_FLOAT8)} with one scale, or one for each output; use a "
            "file in bfloat16 or float16."
        )
    unread = {name for name in specs if name.endswith(_UNREAD)}
    return Unscaled(source, scales, {*scales.values(), *marked, *described, *unread})


def _misfits(specs: Mapping[str, TensorSpec], weight: str, scale: str) -> list[str]:
    """Problem of a weight with its scale; empty if there is none."""
    spec, shape = specs.get(weight), specs[scale].shape
    if spec is None:
        return [f"{scale} (without {weight})"]
    if str(spec.dtype) not in _FLOAT8 or not jnp.issubdtype(specs[scale].dtype, jnp.floating):
        return [f"{weight} ({spec.dtype} with a scale of {specs[scale].dtype})"]
    rows = (spec.shape[0],) if spec.shape else ()
    if math.prod(shape) != 1 and (shape[:1] != rows or math.prod(shape) != shape[0]):
        return [f"{scale} ({shape} for {weight} of {spec.shape})"]
    return []


def _format(source: Source, name: str) -> str | None:
    """Format that the bytes of `name` state, if it is not supported."""
    try:
        stated = parse_json(source.read(name).tobytes(), name)["format"]
    except (ValueError, KeyError, TypeError) as error:
        return f"unreadable: {error}"
    return None if stated in _FLOAT8 else f"format {stated!r}"
