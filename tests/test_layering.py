# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the table of docs/architecture.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mugv_jax"
# Part -> what it may know beside itself; all others join these together.
KNOWS = {
    "axes": set(),
    "bounds": set(),
    "kernels": {"axes"},
    "nn": {"axes", "bounds", "kernels"},
    "flow": {"axes"},
    "video": {"axes"},
    "sharding": {"axes", "bounds", "kernels", "nn"},
    "weights": {"axes", "nn", "kernels"},
}
OPTIONAL = {"torch"}  # an extra: must never be needed at import
ABOVE = {"cli", "commands"}


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Dotted names of all that a file imports, or only of what importing it imports."""
    tree = ast.parse(path.read_text())
    names = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def parts(name: str) -> set[str]:
    """The parts of the package that the files of one part import."""
    path = PACKAGE / name
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    found = {imported for file in files for imported in imports(file)}
    return {each.split(".")[1] for each in found if each.startswith("mugv_jax.")} - {name}


@pytest.mark.parametrize("name", KNOWS)
def test_no_part_knows_what_is_above_it(name):
    assert parts(name) <= KNOWS[name]


def test_nothing_but_the_command_line_knows_the_command_line():
    others = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    for name in others - ABOVE - {"__init__", "__pycache__"}:
        assert not parts(name) & ABOVE, name


def test_extras_are_imported_where_they_are_used_only():
    for path in PACKAGE.rglob("*.py"):
        roots = {name.split(".")[0] for name in imports(path, top_level=True)}
        assert not roots & OPTIONAL, path


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("mugv_jax", {"jax", "numpy"}),
        ("mugv_jax.cli", {"jax", "numpy"}),
        ("mugv_jax.commands.generate", {"torch", "transformers", "av", "huggingface_hub"}),
        ("mugv_jax.commands.verify", {"torch", "transformers", "av", "huggingface_hub"}),
    ],
)
def test_slow_libraries_are_imported_when_they_are_needed(module, unwanted):
    code = f"import sys, {module}; print(*sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
