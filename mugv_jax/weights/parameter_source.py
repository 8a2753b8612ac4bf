# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a model, served as a checkpoint under published names."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.weights.parameters import UNUSED, LazyTensor, published_shape, to_published
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.sources import Source, TensorSpec
from mugv_jax.weights.table import Rule, Table


class ParameterSource(Source):
    """Source of the parameters of a model whose kind and sizes are known.

    parameters: tensors by path, including those under `unused/`.
    dtypes: dtypes by published name, where narrower than that of the tensor's parameter.
    table: names of the parameters, if they are not the model's own but an adapter's.

    Raises:
        ValueError: a parameter of the table is missing.
    """

    def __init__(
        self,
        path: Path,
        format: str,
        kind: str,
        config: Any,
        parameters: Mapping[str, LazyTensor],
        dtypes: Mapping[str, str] | None = None,
        table: Table | None = None,
    ):
        self.path, self.format, self.kind, self.model_config = path, format, kind, config
        self._table = table = table or MODELS[kind].table(config)
        stacked = {rule.path for rule in table.rules if rule.stacked}
        self.parameters = {
            name: dataclasses.replace(lazy, stacked=name in stacked)
            for name, lazy in parameters.items()
        }
        self._homes, self.specs, dtypes = {}, {}, dtypes or {}
        extras = [name for name in self.parameters if name.startswith(f"{UNUSED}/")]
        rules = [Rule(path.removeprefix(f"{UNUSED}/"), path) for path in extras]
        for rule in (*table.rules, *rules):
            lazy = self.parameters.get(rule.path)
            if lazy is None:
                raise ValueError(f"{self.path}: a damaged checkpoint: lacks {rule.path}.")
            shape = published_shape(rule, table, lazy.shape)
            for layer, name in enumerate(table.names(rule)):
                self._homes[name] = rule, lazy, layer
                self.specs[name] = TensorSpec(shape, jnp.dtype(dtypes.get(name, lazy.dtype)))

    def read(self, name: str) -> np.ndarray:
        rule, lazy, layer = self._homes[name]
        index = tuple(slice(0, size) for size in lazy.shape)
        if rule.stacked:
            index = (slice(layer, layer + 1), *index[1:])
        array = lazy.read(index).astype(self.specs[name].dtype, copy=False)
        return np.asarray(to_published(rule, self._table, array[0] if rule.stacked else array))


def narrower_dtypes(
    source: Source, parameters: Mapping[str, LazyTensor], table: Table
) -> dict[str, str]:
    """Dtypes by published name, where that in `source` is not the dtype of its parameter."""
    return {
        name: str(source.specs[name].dtype)
        for rule in table.rules
        for name in table.names(rule)
        if source.specs[name].dtype != parameters[rule.path].dtype
    }
