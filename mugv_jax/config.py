# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Config files `configs/*.py` (a nested ConfigDict) -> frozen dataclasses.

A misspelt key fails at once.
"""

import ast
import dataclasses
import difflib
import importlib.util
import math
import os
import re
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from ml_collections import ConfigDict

from mugv_jax import config_files
from mugv_jax.bounds import require_64_bits
from mugv_jax.files import user_path
from mugv_jax.problems import Problems
from mugv_jax.systems import NAMES
from mugv_jax.systems.system import System, SystemConfig, find

Group = TypeVar("Group")

# Values on a command line, in upper or lower case.
WORDS = {"true": True, "false": False, "none": None}
SERVED = "server://"  # samples of a server, not of a folder
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

# Fields of training that name files or folders, by group.
FILES = {
    "data": ("paths", "holdout_paths"),
    "run": ("weights", "picture_weights", "null_text", "vae"),
    "log": ("vae",),
    "objective": ("vae",),
}


def load(name_or_path: str | os.PathLike) -> SystemConfig:
    """Sizes of the models in a config file; see `read`.

    Raises:
        ValueError: no such file, no `get_config`, or groups that do not fit the dataclasses.
    """
    return from_config_dict(read(name_or_path))


def read(name_or_path: str | os.PathLike, group: str = "") -> ConfigDict:
    """Result of `get_config()` in a config file, given by its path or name (`config_files.find`).

    Raises:
        ValueError: no such file, or no `get_config` that returns a ConfigDict.
    """
    path = config_files.find(name_or_path, group)
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
    system = system_of(values)
    optional = (SYSTEM, *system.optional_groups, *TRAINING_GROUPS)
    check_groups(values, system.groups, optional)
    return models_of(values)


def models_of(values: ConfigDict) -> SystemConfig:
    """Sizes of a system's models; other groups of the config are ignored.

    Raises:
        ValueError: values that the dataclasses refuse.
    """
    system, groups, problems = system_of(values), {}, Problems()
    optional = {name: cls for name, cls in system.optional_groups.items() if name in values}
    for name, cls in {**system.groups, **optional}.items():
        with problems:
            groups[name] = build_group(name, cls, values[name])
    problems.check()
    return system.config(**groups)


def check_groups(
    values: ConfigDict, needed: Collection[str], optional: Collection[str] = ()
) -> None:
    """Raise a ValueError for missing groups, and for those that nothing reads."""
    problems, known = Problems(), ", ".join(needed)
    for name in sorted(set(needed) - set(values)):
        problems.add(ValueError(f"config has no group {name!r}; it needs {known}."))
    for name in sorted(set(values) - set(needed) - set(optional)):
        problems.add(ValueError(f"config has an unknown group {name!r}; it needs {known}."))
    problems.check()


def build_group(name: str, cls: type[Group], values: Any) -> Group:
    """One group as its dataclass `cls`.

    Raises:
        ValueError: unknown or missing fields, or values of another type or out of range; all that
            is wrong is in one `Several`.
    """
    if not isinstance(values, ConfigDict):
        raise ValueError(f"config group {name!r} must be a ConfigDict, not {values!r}.")
    described: Any = cls  # a dataclass
    fields = {field.name: field for field in dataclasses.fields(described)}
    problems = Problems()
    for field in sorted(set(values) - set(fields)):
        close = difflib.get_close_matches(field, fields, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        known = ", ".join(fields)
        problems.add(
            ValueError(f"config group {name!r} has no field {field!r}; it has {known}.{hint}")
        )
    missing = [each for each in sorted(fields) if each not in values and _is_required(fields[each])]
    if missing:
        problems.add(ValueError(f"config group {name!r} lacks {', '.join(missing)}."))
    plain = _well_typed(name, cls, values, problems)
    made = None
    if all(each in plain or not _is_required(fields[each]) for each in fields):
        made = _made(name, cls, plain, problems)
    problems.check()
    assert made is not None
    return made


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _well_typed(name: str, cls: type, values: ConfigDict, problems: Problems) -> dict[str, Any]:
    """The known fields whose values are of the annotated type."""
    hints, found = typing.get_type_hints(cls), {}
    for field, value in values.items():
        value = _plain(value)
        with problems:
            require_64_bits(f"config {name}.{field}", value)
            if field in hints and not _fits(value, hints[field]):
                wanted = getattr(hints[field], "__name__", None) or hints[field]
                raise ValueError(f"config {name}.{field}={value!r} must be of type {wanted}.")
            if field in hints:
                found[field] = value
    return found


def _made(name: str, cls: type[Group], values: dict[str, Any], problems: Problems) -> Group | None:
    """The group, or None after noting all that its class refuses.

    A class stops at the first error. The field that causes it is then left at its default, as if a
    user had corrected it, until nothing is refused.
    """
    refused = _error(cls, values)
    if refused is None:
        return cls(**values)
    described: Any = cls
    required = {each.name for each in dataclasses.fields(described) if _is_required(each)}
    left = dict(values)
    while refused is not None:
        problems.add(ValueError(f"config group {name!r}: {refused}"))
        places = {each: _place(each, refused) for each in left.keys() - required}
        named_first = sorted(places, key=places.__getitem__)
        rest = ({k: x for k, x in left.items() if k != each} for each in named_first)
        left = next((each for each in rest if _error(cls, each) != refused), None)
        if left is None:
            break
        refused = _error(cls, left)
    return None


def _place(field: str, message: str) -> float:
    """Where a message names a field; infinity if it does not."""
    found = re.search(rf"\b{re.escape(field)}\b", message)
    return math.inf if found is None else found.start()


def _error(cls: type, values: Mapping[str, Any]) -> str | None:
    """Why the class refuses the values; None if it does not."""
    try:
        cls(**values)
    except ValueError as error:
        return str(error)
    return None


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
    if wanted is Any:
        return True
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


def override(
    values: ConfigDict, arguments: Sequence[str], problems: Problems | None = None
) -> ConfigDict:
    """Copy of `values` with fields set by arguments such as `--config.mesh.tensor=4`.

    problems: notes arguments that cannot be used, which then set nothing, instead of raising.

    Raises:
        ValueError: fields that do not exist, or values that cannot be read.
    """
    values = values.copy_and_resolve_references()
    found = Problems() if problems is None else problems
    for argument in arguments:
        with found:
            _set(values, argument)
    if problems is None:
        found.check()
    return values


def asked(arguments: Sequence[str]) -> frozenset[str]:
    """Fields that arguments such as `--config.mesh.tensor=4` set: "mesh.tensor"."""
    return frozenset(each.removeprefix("--config.").partition("=")[0] for each in arguments)


def note_missing_files(values: ConfigDict, problems: Problems) -> None:
    """Note the files and folders that training would read and that do not exist."""
    for name, fields in FILES.items():
        group: Any = values.get(name)
        for field in fields if isinstance(group, ConfigDict) else ():
            paths = group.get(field, "")
            for path in paths if isinstance(paths, tuple | list) else (paths,):
                with problems:
                    if not isinstance(path, str) or not path or path.startswith(SERVED):
                        continue
                    if not user_path(path).exists():
                        raise ValueError(f"{name}.{field}: {path!r} does not exist.")


def _set(values: ConfigDict, argument: str) -> None:
    """Set the field of one argument."""
    path, equals, text = argument.removeprefix("--config.").partition("=")
    if not equals:
        raise ValueError(f"{argument}: write {argument}=VALUE.")
    *groups, name = path.split(".")
    holder = parent = values
    for part in (*groups, name):
        if not isinstance(parent, ConfigDict) or part not in parent:
            known = ", ".join(parent) if isinstance(parent, ConfigDict) else "nothing below it"
            close = difflib.get_close_matches(part, known.split(", "), 1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"{argument}: there is no {part!r}; the config has {known} there.{hint}"
            )
        holder, parent = parent, parent[part]
    if isinstance(parent, ConfigDict):
        raise ValueError(f"{argument}: {path} is a group; set one of {', '.join(parent)} in it.")
    with holder.ignore_type():  # `build_group` checks types with a better message
        holder[name] = text if _is_word(parent, text) else _parsed(argument, text)


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
