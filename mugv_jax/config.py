# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Config files `configs/*.py` (a nested ConfigDict) -> frozen dataclasses.

A misspelt key fails at once.
"""

import ast
import dataclasses
import importlib.util
import os
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from ml_collections import ConfigDict

from mugv_jax import config_files
from mugv_jax.bounds import require_64_bits
from mugv_jax.systems import NAMES
from mugv_jax.systems.system import System, SystemConfig, find

Group = TypeVar("Group")

# Values on a command line, in upper or lower case.
WORDS = {"true": True, "false": False, "none": None}
SYSTEM = "system"  # field that names a system; the default is the first
# Groups that only training reads; see `train/train_config.py`.
TRAINING_GROUPS = (
    "mesh",
    "kernels",
    "data",
    "tasks",
    "loss",
    "objective",
    "optimizer",
    "ema",
    "lora",
    "run",
    "checkpoint",
    "log",
)


def load(name_or_path: str | os.PathLike) -> SystemConfig:
    """Sizes of the models in a config file; see `read`.

    Raises:
        ValueError: no such file, no `get_config`, or groups that do not fit the dataclasses.
    """
    return from_config_dict(read(name_or_path))


def read(name_or_path: str | os.PathLike) -> ConfigDict:
    """Result of `get_config()` in a config file, given by its path or name (`config_files`).

    Raises:
        ValueError: no such file, or no `get_config` that returns a ConfigDict.
    """
    path = config_files.find(name_or_path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"config {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        with config_files.importable(path):
            spec.loader.exec_module(module)
            values = module.get_config()
    except (Exception, SystemExit) as error:  # a user's file may raise anything, or call exit()
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"config {path} cannot be read: {reason}.") from error
    if not isinstance(values, ConfigDict):
        raise ValueError(f"config {path} must return a ConfigDict, not {type(values).__name__}.")
    return values


def system_of(values: ConfigDict) -> System:
    """System that a config describes.

    Raises:
        ValueError: an unknown name.
    """
    name = values.get(SYSTEM, NAMES[0])
    if name not in NAMES:
        raise ValueError(f"config {SYSTEM}={name!r} must be one of {', '.join(NAMES)}.")
    return find(name)


def from_config_dict(values: ConfigDict) -> SystemConfig:
    """Sizes of a system's models; all groups of the config are checked by name and type.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    check_groups(values, system_of(values).groups, optional=(SYSTEM, *TRAINING_GROUPS))
    return models_of(values)


def models_of(values: ConfigDict) -> SystemConfig:
    """Sizes of a system's models; other groups of the config are ignored.

    Raises:
        ValueError: values that the dataclasses refuse.
    """
    system = system_of(values)
    groups = {name: build_group(name, cls, values[name]) for name, cls in system.groups.items()}
    return system.config(**groups)


def check_groups(
    values: ConfigDict, needed: Collection[str], optional: Collection[str] = ()
) -> None:
    """Raise a ValueError for a missing group, or one that nothing reads."""
    for name in sorted(set(needed) - set(values)):
        raise ValueError(f"config has no group {name!r}; it needs {', '.join(needed)}.")
    for name in sorted(set(values) - set(needed) - set(optional)):
        raise ValueError(f"config has an unknown group {name!r}; it needs {', '.join(needed)}.")


def build_group(name: str, cls: type[Group], values: Any) -> Group:
    """One group as its dataclass `cls`.

    Raises:
        ValueError: unknown or missing fields, or values of another type or out of range.
    """
    if not isinstance(values, ConfigDict):
        raise ValueError(f"config group {name!r} must be a ConfigDict, not {values!r}.")
    described: Any = cls  # a dataclass
    fields = {field.name: field for field in dataclasses.fields(described)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(
            f"config group {name!r} has no field {unknown[0]!r}; it has {', '.join(fields)}."
        )
    missing = sorted(
        field
        for field, spec in fields.items()
        if spec.default is dataclasses.MISSING
        and spec.default_factory is dataclasses.MISSING
        and field not in values
    )
    if missing:
        raise ValueError(f"config group {name!r} lacks {', '.join(missing)}.")
    hints = typing.get_type_hints(cls)
    plain = {field: _plain(value) for field, value in values.items()}
    for field, value in plain.items():
        require_64_bits(f"config {name}.{field}", value)
        if not _fits(value, hints[field]):
            wanted = getattr(hints[field], "__name__", None) or hints[field]
            raise ValueError(f"config {name}.{field}={value!r} must be of type {wanted}.")
    try:
        return cls(**plain)
    except ValueError as error:
        raise ValueError(f"config group {name!r}: {error}") from error


def _plain(value: Any) -> Any:
    """Value with dicts for ConfigDicts and tuples for lists, as dataclasses hold them."""
    if isinstance(value, ConfigDict | Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value


def _fits(value: Any, wanted: Any) -> bool:
    """Whether `value` is of the annotated type `wanted`; an int is accepted for a float."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in parts)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is float:
        return isinstance(value, float) or _fits(value, int)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(key, parts[0]) and _fits(item, parts[1]) for key, item in value.items()
        )
    if origin is tuple and parts[-1] is Ellipsis:
        return isinstance(value, tuple) and all(_fits(item, parts[0]) for item in value)
    if origin is tuple:
        return (
            isinstance(value, tuple) and len(value) == len(parts) and all(map(_fits, value, parts))
        )
    return isinstance(value, wanted)


def override(values: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
    """Copy of `values` with fields set by arguments such as `--config.mesh.tensor=4`.

    Raises:
        ValueError: a field that does not exist, or a value that cannot be read.
    """
    values = values.copy_and_resolve_references()
    for argument in arguments:
        path, equals, text = argument.removeprefix("--config.").partition("=")
        if not equals:
            raise ValueError(f"{argument}: write {argument}=VALUE.")
        *groups, name = path.split(".")
        holder = parent = values
        for part in (*groups, name):
            if not isinstance(parent, ConfigDict) or part not in parent:
                known = ", ".join(parent) if isinstance(parent, ConfigDict) else "nothing below it"
                raise ValueError(f"{argument}: there is no {part!r}; the config has {known} there.")
            holder, parent = parent, parent[part]
        if isinstance(parent, ConfigDict):
            raise ValueError(
                f"{argument}: {path} is a group; set one of {', '.join(parent)} in it."
            )
        with holder.ignore_type():  # `build_group` checks types with a better message
            holder[name] = text if _is_word(parent, text) else _parsed(argument, text)
    return values


def _is_word(before: Any, text: str) -> bool:
    """Whether `text` stands for a string, not for a Python value.

    It does if it replaces a string, or if it is a name that replaces None.
    """
    a_name = text.isidentifier() and text.lower() not in WORDS
    return isinstance(before, str) or (before is None and a_name)


def _parsed(argument: str, text: str) -> Any:
    """Python value of `text`; true, false and none in any case."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"{argument}: {text!r} is no value: write a number, true, false, or ('a', 'b')."
        ) from error
