# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import argparse
import importlib
import math

import pytest

from mugv_jax import bounds, cli


def numeric_options(parser):
    """Names of a command's options that are numbers, those of its actions included."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from numeric_options(child)
        elif action.type in (int, float) or "number" in getattr(action.type, "__qualname__", ""):
            yield action.dest


def test_every_numeric_option_has_a_largest_value():
    names = set()
    for module, _ in cli.COMMANDS.values():
        parser = cli.Parser()
        importlib.import_module(module).add_arguments(parser)
        names |= set(numeric_options(parser))
    assert names == set(bounds.LARGEST)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 1e308, 10**30, -(10**5000)], ids=range(6)
)
def test_numbers_without_a_size_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^steps=.{1,40} (must be a finite|is too large)"):
        bounds.require_sane("steps", value)
    if value != 1e308:
        with pytest.raises(ValueError, match=r"^config a.b.c=.* must (be a finite|fit into 64)"):
            bounds.require_64_bits("config a.b", {"c": (1, value)})


def test_usual_values_and_other_types_pass():
    for value in (0, -3, 2.5, True, None, "nan", [math.nan]):
        assert bounds.require_sane("steps", value) is None
    assert bounds.require_64_bits("config", {"a": (1, "x", None, 2.5), "b": -(2**63)}) is None
