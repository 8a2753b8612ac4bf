# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rooms (top-level parts) of the package, and which rooms may import which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mugv_jax.systems import NAMES

PACKAGE = Path(__file__).parents[1] / "mugv_jax"
NETWORKS = {"axes", "bounds", "files", "kernels", "nn"}
BELOW = {"cost", "flow", "interrupts", "progress", "sharding", "tables", "video", "weights"}
MODELS = {*NETWORKS, *BELOW}
ABOVE = {"cli", "compile", "config", "console", "curate", "data", "demo", "eval", "golden", "post"}
ABOVE |= {"problems", "serve"}
# Room, a folder or file of the package -> other rooms that its files may import.
KNOWS = {
    "__init__": {"systems"},
    "__main__": {"cli"},
    "axes": set(),
    "bounds": set(),
    "files": set(),
    "hints": set(),
    "interrupts": set(),
    "packages": set(),
    "problems": set(),
    "progress": {"interrupts"},
    "console": {"files", "interrupts", "progress"},
    "tables": {"files"},
    "kernels": {"axes"},
    "nn": {"axes", "bounds", "kernels"},
    "flow": {"axes", "progress"},
    "video": {"axes", "files", "interrupts", "packages"},
    "rewriting": {"files", "video"},
    "sharding": NETWORKS,
    "weights": {*NETWORKS, "interrupts", "progress"},
    "cost": {*NETWORKS, "sharding", "weights"},
    "systems": MODELS,
    "config_files": {"files"},
    "config": {"bounds", "config_files", "files", "problems", "systems"},
    "data": {*MODELS, "config", "systems"},
    "rewards": {"axes", "data", "files", "nn", "weights"},
    "curate": {*MODELS, "config", "data", "packages", "problems", "rewards", "rewriting"},
    "train": {*MODELS, "config", "data", "problems", "rewards", "systems"},
    "compile": {*MODELS, "config", "systems", "train"},
    "eval": {*MODELS, "config", "data", "packages", "problems", "systems"},
    "golden": {*MODELS, "systems", "train"},
    "demo": {*MODELS, "config", "data", "eval", "systems", "train"},
    "post": {*MODELS, "data", "demo", "systems", "train"},
    "serve": {*MODELS, "curate", "data", "eval", "post", "systems"},
    "commands": {*MODELS, *ABOVE, "config_files", "hints", "rewriting", "systems", "train"},
    # Commands are imported by name, each when it is run.
    "cli": {"bounds", "console", "hints", "interrupts", "problems"},
}
OPTIONAL = {"torch", "pillow_heif"}  # extras that no import may need
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Dotted names of a file's imports, or of its top-level imports only."""
    tree = ast.parse(path.read_text())
    names = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(path: Path) -> str:
    """Top-level folder or file of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """Dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_files(path: Path, modules: dict[str, Path]) -> set[Path]:
    """Files of the package that a file imports, at any level."""
    names = imports(path)
    found = {modules.get(name) or modules.get(name.rpartition(".")[0]) for name in names}
    return found - {None, path}


@pytest.mark.parametrize("room", sorted({room_of(path) for path in FILES}))
def test_a_room_knows_only_what_the_table_allows(room):
    assert room in KNOWS, f"{room} is a new room: add it to the table"
    names = {name for path in FILES if room_of(path) == room for name in imports(path)}
    known = {name.split(".")[1] for name in names if name.startswith("mugv_jax.")} - {room}
    assert known <= KNOWS[room], f"{room} must not know {', '.join(sorted(known - KNOWS[room]))}"


def test_the_table_has_no_room_that_is_gone():
    assert set(KNOWS) == {room_of(path) for path in FILES}


def test_the_table_itself_has_no_circle():
    left = dict(KNOWS)
    while left:
        lowest = {room for room, known in left.items() if not known & left.keys()}
        assert lowest, f"a circle among {', '.join(sorted(left))}"
        left = {room: known for room, known in left.items() if room not in lowest}


def test_no_files_import_each_other_in_a_circle():
    """Imports inside of functions count: they hide a circle without removing it."""
    modules = {module_of(path): path for path in FILES}
    left = {path: imported_files(path, modules) for path in FILES}
    while left:
        free = {path for path, known in left.items() if not known & left.keys()}
        if not free:  # a file that only imports a circle is not in it
            used = set().union(*left.values())
            free = left.keys() - used
        circle = sorted(str(path.relative_to(PACKAGE)) for path in left)
        assert free, f"a circle among {', '.join(circle)}"
        left = {path: known for path, known in left.items() if path not in free}


@pytest.mark.parametrize("name", NAMES)
def test_shared_files_of_systems_name_no_system(name):
    """A new system then edits none of them; only the registry has the names."""
    for path in (PACKAGE / "systems").glob("*.py"):
        own = f"mugv_jax.systems.{name}."
        found = {each for each in imports(path) if f"{each}.".startswith(own)}
        assert not found, f"{path.name} imports {', '.join(found)}"


def test_extras_are_imported_where_they_are_used_only():
    for path in FILES:
        roots = {name.split(".")[0] for name in imports(path, top_level=True)}
        assert not roots & OPTIONAL, path


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("mugv_jax", {"jax", "numpy"}),
        ("mugv_jax.cli", {"jax", "numpy"}),
        ("mugv_jax.commands.generate", {"torch", "transformers", "av", "huggingface_hub"}),
        ("mugv_jax.commands.label", {"jax", "fastapi", "av", "PIL"}),
        ("mugv_jax.commands.verify", {"torch", "transformers", "av", "huggingface_hub"}),
    ],
)
def test_slow_libraries_are_imported_when_they_are_needed(module, unwanted):
    code = f"import sys, {module}; print(*sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_system_is_imported_when_it_is_asked_for():
    code = """
import sys
from mugv_jax.systems.system import find

find("contentv")
print(*(name for name in sys.modules if name.startswith("mugv_jax.systems.enhancer")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""
