# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Declarations of options: their types, and defaults in the help."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mugv_jax.files import user_path

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


def add_output(
    group: Group, text: str, metavar: str, *, required: bool = True, **options: Any
) -> None:
    """Add -o/--output, the place that a command writes to."""
    options.setdefault("type", path_text)
    group.add_argument("-o", "--output", metavar=metavar, required=required, help=text, **options)


def add_overwrite(group: Group, text: str) -> None:
    """Add --overwrite, without which nothing that exists is replaced."""
    group.add_argument("--overwrite", action="store_true", help=text)


def add_switch(group: Group, name: str, text: str) -> None:
    """Add an option that is off unless it is given."""
    group.add_argument(name, action="store_true", help=text)


def path_text(text: str) -> str:
    """Type of an option that names a file or folder: any text that is not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: name a file or folder")
    try:
        user_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def adapter_text(text: str) -> tuple[str, float]:
    """Type of an option that names an adapter: PATH, or PATH:SCALE.

    A file or folder whose whole name is the text is taken as it is, with the scale 1; so is text
    whose last part is no number, such as a path of Windows with a drive letter.
    """
    path, colon, number = path_text(text).rpartition(":")
    if not colon or not path or user_path(text).exists():
        return text, 1.0
    try:
        scale = float(number)
    except ValueError:
        return text, 1.0
    return path, finite_number(number, scale)


def finite_number(text: str, number: float | None = None) -> float:
    """Type of an option that is any finite number."""
    number = _number(text) if number is None else number
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} must be a finite number")
    return number


def positive_number(text: str) -> float:
    """Type of an option that is a positive number."""
    number = finite_number(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def add_lora(group: Group, text: str) -> None:
    """Add --lora, which may be given several times, and --lora-alpha."""
    group.add_argument(
        "--lora",
        action="append",
        type=adapter_text,
        metavar="PATH[:SCALE]",
        help=f"{text}: a file or folder of peft, diffusers, ComfyUI or kohya, or a training run; "
        "may be given several times",
    )
    alpha = "alpha of the adapters, if their files do not state it"
    group.add_argument("--lora-alpha", type=positive_number, metavar="X", help=alpha)


def local_path(text: str) -> Path:
    """Type of an option that names a file or folder of this machine."""
    return user_path(path_text(text))


def number_or(word: str, number: str) -> Callable[[str], float | None]:
    """Type of an option that is a number, described by `number`, or `word` for None."""

    def parse(text: str) -> float | None:
        try:
            return None if text.lower() == word else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} must be {number}, or {word}") from None

    return parse


def on_or_off(text: str) -> bool:
    """Type of an option that is on or off."""
    try:
        return {"on": True, "off": False}[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} must be on or off") from None


def flag(name: str) -> str:
    """Command-line spelling of the option that argparse keeps under `name`."""
    return f"--{name.replace('_', '-')}"
