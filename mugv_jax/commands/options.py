# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Declarations of options: their types, and defaults in the help."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Group = argparse._ActionsContainer


def add_value(group: Group, name: str, default: Any, text: str, **options: Any) -> None:
    """Add an option with the type of its default, unless `options` name another."""
    options.setdefault("type", type(default))
    group.add_argument(name, default=default, help=f"{text} [%(default)s]", **options)


def add_optional(group: Group, name: str, default: str, text: str, **options: Any) -> None:
    """Add an option that is absent if not given; `default` describes its default in the help."""
    group.add_argument(name, default=argparse.SUPPRESS, help=f"{text} [{default}]", **options)


def add_path(group: Group, name: str, text: str, metavar: str = "FOLDER", **options: Any) -> None:
    """Add an option that names a file, folder or repository."""
    options.setdefault("type", path_text)
    group.add_argument(name, metavar=metavar, help=text, **options)


def add_switch(group: Group, name: str, text: str) -> None:
    """Add an option that is off unless it is given."""
    group.add_argument(name, action="store_true", help=text)


def path_text(text: str) -> str:
    """Type of an option that names a file or folder: any text that is not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: name a file or folder")
    return text


def local_path(text: str) -> Path:
    """Type of an option that names a file or folder of this machine."""
    return Path(path_text(text)).expanduser()


def number_or(word: str, number: str) -> Callable[[str], float | None]:
    """Type of an option that is a number, described by `number`, or `word` for None."""

    def parse(text: str) -> float | None:
        try:
            return None if text.lower() == word else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} must be {number}, or {word}") from None

    return parse


def flag(name: str) -> str:
    """Command-line spelling of the option that argparse keeps under `name`."""
    return f"--{name.replace('_', '-')}"
