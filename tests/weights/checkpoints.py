# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny published checkpoints, and comparisons bit by bit."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from flax import traverse_util

from mugv_jax.golden import recipe
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.parameters import LazyTensor
from mugv_jax.weights.registry import MODELS

GOLDEN = Path(__file__).parents[1] / "golden" / "mugv"
# Four heads, so that it splits over four ranks; depth and widths all differ.
FOUR_HEADS = DiTConfig(depth=3, width=96, num_heads=4, text_dim=40)

Tensors = dict[str, torch.Tensor]


def golden_tensors(case: str) -> Tensors:
    """The checkpoint of a golden case, float32."""
    return _tensors(json.loads((GOLDEN / f"{case}.json").read_text())["tensors"])


def dit_tensors(config: DiTConfig) -> Tensors:
    """A `dit.pt` of these sizes, float32."""
    return _tensors(published_shapes(MODELS["mugv_dit"], config))


def _tensors(shapes: Mapping) -> Tensors:
    return {name: torch.from_numpy(recipe(name, tuple(shape))) for name, shape in shapes.items()}


def in_memory(tree: Mapping) -> dict[str, LazyTensor]:
    """Tensors by path from a tree of arrays, such as low-rank factors."""

    def lazy(leaf) -> LazyTensor:
        array = np.asarray(leaf)
        return LazyTensor(array.shape, array.dtype, array.__getitem__, max((1, *array.shape[:1])))

    return {name: lazy(leaf) for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()}


def save(path: Path, tensors: Mapping) -> Path:
    torch.save(dict(tensors), path)
    return path


def read(path: Path) -> Tensors:
    return torch.load(path, weights_only=True, mmap=True)


def bits(tensor: torch.Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return tensor.dtype, tuple(tensor.shape), flat.numpy().tobytes()


def assert_identical(found: Mapping, expected: Mapping) -> None:
    assert set(found) == set(expected)
    differ = [name for name in expected if bits(found[name]) != bits(expected[name])]
    assert not differ


def assert_trees_identical(found: Mapping, expected: Mapping) -> None:
    """Nested dictionaries of arrays, equal to the last bit."""
    assert set(found) == set(expected)
    for name, leaf in expected.items():
        if isinstance(leaf, Mapping):
            assert_trees_identical(found[name], leaf)
        else:
            ours, theirs = np.asarray(found[name]), np.asarray(leaf)
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), name
            assert ours.tobytes() == theirs.tobytes(), name
