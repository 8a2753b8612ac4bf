# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Identification of the model in a checkpoint, and a check that it is complete."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mugv_jax.nn.layers import unboxed
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import LazyTensor, parameters_of, published_shape
from mugv_jax.weights.registry import MODELS, Model, abstract_variables
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import Shapes, Table

# Errors of `Model.infer_config` for tensors of another model.
NOT_OF_MODEL = (ValueError, IndexError, TypeError, ArithmeticError)
_NUMBER = re.compile(r"\d+")


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
    if kind is not None:
        try:
            return MODELS[kind], _config(source, MODELS[kind])
        except NOT_OF_MODEL as error:
            raise ValueError(f"{source.path}: {error}") from error
    candidates = [
        (model, _config(source, model)) for model in MODELS.values() if fits(model, source.shapes)
    ]
    if not candidates:
        raise ValueError(f"{source.path}: {closest(source.specs)}")
    if len(candidates) > 1:
        kinds = ", ".join(model.kind for model, _ in candidates)
        raise ValueError(f"{source.path}: may be any of {kinds}; say which model it is.")
    return candidates[0]


def fits(model: Model, shapes: Shapes) -> bool:
    """Whether tensors of these names determine the sizes of `model`."""
    try:
        model.infer_config(shapes)
    except NOT_OF_MODEL:
        return False
    return True


def closest(names: Iterable[str]) -> str:
    """Names of no known model, in one line: the closest one, what it lacks and what is left over.

    Names that differ in numbers only, such as those of all layers, count as one kind. A prefix that
    all names share does not count.
    """
    names = [*names]
    known = {
        kind: {_NUMBER.sub("N", name): name for name in ordered(model.table(model.example))}
        for kind, model in MODELS.items()
    }
    found: dict[str, list[str]] = {}
    best, share = "", 0.0
    for prefix in shared_prefixes(names):
        these: dict[str, list[str]] = {}
        for name in names:
            these.setdefault(_NUMBER.sub("N", name.removeprefix(prefix)), []).append(name)
        for kind, own in known.items():
            if len(own.keys() & these) / len(own) > share:
                best, share, found = kind, len(own.keys() & these) / len(own), these
    if not best:
        return (
            f"no known model: none of its {len(names)} tensors ({_first(names)}) has a name of "
            f"{', '.join(MODELS)}."
        )
    shared = known[best].keys() & found
    lacking = [name for key, name in known[best].items() if key not in found]
    left = [each for key, each in found.items() if key not in shared]
    over = [name for each in left for name in each]
    return (
        f"no known model; the closest is {best}, of whose {len(known[best])} kinds of tensors it "
        f"lacks {len(lacking)} ({_first(lacking)}) and beside which it has {len(over)} tensors "
        f"({_first(over)})."
    )


def shared_prefixes(names: Iterable[str]) -> Iterator[str]:
    """The empty prefix, and those that all names share, in whole parts: "model.", ..."""
    parts = [name.split(".") for name in names]
    prefix = ""
    yield prefix
    for shared in zip(*(each[:-1] for each in parts)):
        if len(set(shared)) > 1 or not re.fullmatch(r"\D.*", shared[0]):
            return
        prefix += f"{shared[0]}."
        yield prefix


def _first(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most]) or 'none'}{more}"


def ordered(table: Table) -> list[str]:
    """Published names of a table, all tensors of a layer before those of the next."""
    names: list[str] = []
    for stacked, rules in itertools.groupby(table.rules, lambda rule: rule.stacked):
        each = [table.names(rule) for rule in rules]
        layers = zip(*each, strict=True) if stacked else [[name for (name,) in each]]
        names += [name for layer in layers for name in layer]
    return names


def ordered_names(kind: str, shapes: Sequence[tuple[int, ...]]) -> list[str] | None:
    """Names for tensors in the order of a model's parameters; None if their shapes do not fit."""
    model = MODELS[kind]
    if not model.in_order:
        return None
    fixed, more = (
        len(ordered(model.table(dataclasses.replace(model.example, depth=depth))))
        for depth in (2, 3)
    )
    layers, rest = divmod(len(shapes) - fixed, more - fixed)
    if rest or layers < -1:
        return None
    names = ordered(model.table(dataclasses.replace(model.example, depth=2 + layers)))
    found = dict(zip(names, shapes, strict=True))
    if not fits(model, found):
        return None
    return names if published_shapes(model, model.infer_config(found)) == found else None


def require_equal_twins(source: Source, model: Model) -> None:
    """Reads tensors that a file may hold twice.

    Raises:
        ValueError: two of them differ.
    """
    for twin, name in model.twins.items():
        if twin not in source.specs or name not in source.specs:
            continue
        one = np.array(source.read(name))
        if not np.array_equal(one, source.read(twin)):
            raise ValueError(
                f"{source.path}: {name} and {twin} must be the same tensor, but their values "
                "differ: leave out the one that is wrong."
            )


def _config(source: Source, model: Model) -> Any:
    inferred = model.infer_config(source.shapes)
    stated, names = model.own_entries(source.config or {}), model.described_as
    if names and all(stated.get(key) == name for key, name in names.items()):
        try:
            return model.config_from_published(stated)
        except KeyError as error:
            raise ValueError(f"{source.path}: its config.json has no {error}.") from error
        except (TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"{source.path}: its config.json is damaged ({error}).") from error
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
    if table.layers > max(len(found), 1):
        raise ValueError(
            f"{source.path}: {table.layers} layers are named, but it holds {len(found)} tensors: "
            "it is damaged or incomplete."
        )
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
