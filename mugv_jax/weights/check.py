# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Identification of the model in a checkpoint, and a check that it is complete."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mugv_jax.nn.layers import unboxed
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import LazyTensor, parameters_of, published_shape
from mugv_jax.weights.registry import MODELS, Model, abstract_variables
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import Shapes


def identify(source: Source, kind: str | None = None) -> tuple[Model, Any]:
    """Model and config of a checkpoint.

    kind: model that it must hold, if the caller knows.

    Raises:
        ValueError: another model than `kind`, no known model, or more than one candidate.
    """
    if kind is not None and kind not in MODELS:
        raise ValueError(f"model {kind!r} must be one of {', '.join(MODELS)}.")
    if isinstance(source, ParameterSource):
        if kind not in (None, source.kind):
            raise ValueError(f"{source.path}: holds {source.kind}, not {kind}.")
        return MODELS[source.kind], source.model_config
    candidates, reasons = [], []
    for model in MODELS.values() if kind is None else [MODELS[kind]]:
        try:
            candidates.append((model, _config(source, model)))
        except (ValueError, IndexError, TypeError, ArithmeticError) as error:
            reasons.append(str(error))
    if not candidates:
        raise ValueError(f"{source.path}: {' '.join(reasons)}")
    if len(candidates) > 1:
        kinds = ", ".join(model.kind for model, _ in candidates)
        raise ValueError(f"{source.path}: may be any of {kinds}; say which model it is.")
    return candidates[0]


def _config(source: Source, model: Model) -> Any:
    inferred = model.infer_config(source.shapes)
    stated, names = source.config or {}, model.described_as
    if names and all(stated.get(key) == name for key, name in names.items()):
        try:
            return model.config_from_published(stated)
        except KeyError as error:
            raise ValueError(f"{source.path}: its config.json has no {error}.") from error
    return inferred


def check(source: Source, model: Model, config: Any) -> dict[str, LazyTensor]:
    """Parameters by path, from a checkpoint that holds all of the model and nothing else.

    Raises:
        ValueError: missing, unexpected or misshapen tensors; the message lists them all.
    """
    if isinstance(source, ParameterSource):
        return source.parameters
    table = model.table(config)
    found = {name: s for name, s in source.shapes.items() if not model.is_foreign(name)}
    optional = {name: shape for name, shape in table.optional.items() if name in found}
    complaint = f"{source.path}: does not fit {model.kind} with {config}"
    require_same(found, published_shapes(model, config) | optional, complaint)
    return parameters_of(source, table)


def require_same(found: Shapes, expected: Shapes, complaint: str, *more: str) -> None:
    """Checks that the tensors `found` are those `expected`.

    Raises:
        ValueError: `complaint`, all missing, unexpected and misshapen tensors, and problems `more`.
    """
    misshapen = [
        f"{name} is {found[name]}, must be {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != tuple(shape)
    ]
    listed = (
        ("missing", [name for name in expected if name not in found]),
        ("unexpected", [name for name in found if name not in expected]),
        ("misshapen", misshapen),
    )
    problems = [f"{len(names)} {what}: {', '.join(names)}" for what, names in listed if names]
    if problems or more:
        raise ValueError(f"{'; '.join((complaint, *problems, *more))}.")


def published_shapes(model: Model, config: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a published checkpoint with these sizes, by name."""
    table, variables = model.table(config), variable_shapes(model, config)
    shapes = {}
    for rule in table.rules:
        shape = published_shape(rule, table, variables[rule.path])
        shapes |= dict.fromkeys(table.names(rule), shape)
    return shapes | dict(table.unused)


def variable_shapes(model: Model, config: Any) -> dict[str, tuple[int, ...]]:
    """Shape of every variable of the model by path, without allocating any."""
    variables = unboxed(abstract_variables(model.kind, config))
    flat: dict[str, Any] = traverse_util.flatten_dict(variables, sep="/")
    return {path: leaf.shape for path, leaf in flat.items()}


def floating_dtype(name: str | None) -> np.dtype | None:
    """Floating-point dtype of this name; None for None.

    Raises:
        ValueError: no floating-point type has this name.
    """
    if name is None:
        return None
    try:
        dtype = jnp.dtype(name)
    except TypeError:
        dtype = None
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype {name!r} must be a floating type such as bfloat16 or float32.")
    return dtype
