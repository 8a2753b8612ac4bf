# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Values of a request's fields: texts of a form, or values of JSON.

What is missing, empty or null is not given. A value that cannot be used raises a `Refusal`.
"""

import math
from collections.abc import Mapping
from typing import Any

from mugv_jax.files import shortened
from mugv_jax.serve.http.errors import Refusal


def refused(name: str, reason: str) -> Refusal:
    """Refusal of a field's value; `reason` begins with the value, or with a verb."""
    joined = "=" if reason[:1].isdigit() or reason[:1] in "'-" else " "
    return Refusal(400, f"{name}{joined}{reason}", param=name, code="invalid_value")


def shown(value: Any) -> str:
    """A value of a client in a message."""
    return shortened(repr(value), 60)


def is_digits(text: str) -> bool:
    """Whether a text is a small whole number."""
    return text.isascii() and text.isdecimal() and len(text) <= 6


def number(asked: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    """A number of a request; None if it is not given."""
    given = asked.get(name)
    if given in (None, ""):
        return None
    try:
        value = math.nan if isinstance(given, bool) else float(str(given)[:40])
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise refused(name, f"{shown(given)} must be a number from {least:g} to {most:g}.")
    return value


def whole(asked: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """A whole number of a request; None if it is not given."""
    given = asked.get(name)
    if given in (None, ""):
        return None
    text = str(given)
    if isinstance(given, bool | float) or not (text.isascii() and text.isdecimal()):
        raise refused(name, f"{shown(given)} must be a whole number from {least} to {most}.")
    if len(text) > 12 or not least <= int(text) <= most:
        raise refused(name, f"{shown(given)} must lie in {least} to {most}.")
    return int(text)


def switch(asked: Mapping[str, Any], name: str) -> bool:
    """Whether something is asked for."""
    given = asked.get(name)
    words = {None: False, "": False, "false": False, "0": False, "true": True, "1": True}
    key = given if given is None else str(given).lower()
    if key not in words:
        raise refused(name, f"{shown(given)} must be true or false.")
    return words[key]
