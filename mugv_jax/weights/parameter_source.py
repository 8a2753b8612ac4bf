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


class TableSource(Source):
    """Source of parameters whose published names are given by a table.

    parameters: tensors by path, including those under `unused/`.
    dtypes: dtypes by published name, where narrower than that of the tensor's parameter.

    Raises:
        ValueError: a parameter of the table is missing.
    """

    def __init__(
        self,
        path: Path,
        format: str,
        table: Table,
        parameters: Mapping[str, LazyTensor],
        dtypes: Mapping[str, str] | None = None,
    ):
        self.path, self.format = path, format
        stacked = {rule.path for rule in table.rules if rule.stacked}
        self.parameters = {
            name: dataclasses.replace(lazy, stacked=name in stacked)
            for name, lazy in parameters.items()
        }
        self._index(table, dtypes or {})

    def _index(self, table: Table, dtypes: Mapping[str, str]) -> None:
        """Records rule, parameter and layer of each published name."""
        self._table, self._homes, self.specs = table, {}, {}
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
            array = lazy.read((slice(layer, layer + 1), *index[1:]))[0]
        else:
            array = lazy.read(index)
        array = array.astype(self.specs[name].dtype, copy=False)
        return np.asarray(to_published(rule, self._table, array))


class ParameterSource(TableSource):
    """Source of the parameters of a model whose kind and sizes are known.

    kind, model_config: the model and its sizes.
    """

    def __init__(
        self,
        path: Path,
        format: str,
        kind: str,
        config: Any,
        parameters: Mapping[str, LazyTensor],
        dtypes: Mapping[str, str] | None = None,
    ):
        self.kind, self.model_config = kind, config
        super().__init__(path, format, MODELS[kind].table(config), parameters, dtypes)


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
