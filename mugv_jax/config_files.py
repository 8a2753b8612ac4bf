# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Config files by name or path, and the package `configs` that they import each other from.

The files live in the folder `configs/` of the repository. The wheel carries a copy in
`mugv_jax/assets/configs`. A user's own folder `configs` is searched first, file by file, so that
its configs may import those of the package as well.
"""

import contextlib
import difflib
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from mugv_jax.files import resolved, shortened, user_path

PACKAGE = "configs"  # name under which configs import each other
SUFFIX = ".py"
_HERE = Path(__file__).parent
PLACES = (_HERE / "assets" / PACKAGE, _HERE.parent / PACKAGE)  # installed; source checkout
PARTS = ("training", "shapes")  # imported by configs, and no model by themselves
MOST_NAMED = 3  # of the names that resemble a wrong one


def folder() -> Path:
    """Folder of the configs that come with the package.

    Raises:
        ValueError: neither a wheel's nor a checkout's folder exists.
    """
    for place in PLACES:
        if (place / "__init__.py").is_file():
            return place
    raise ValueError(f"the configs of the package are missing in {PLACES[0]}: install it again.")


def names() -> list[str]:
    """Names of the package's configs, such as mugv_10b and stages/sft."""
    root = folder()
    paths = (path.relative_to(root).with_suffix("") for path in root.rglob(f"*{SUFFIX}"))
    return sorted(p.as_posix() for p in paths if p.name not in (*PARTS, "__init__"))


def named(text: str | os.PathLike) -> Path | None:
    """File of a config that comes with the package, or None.

    text: its name; `configs/NAME.py` counts as well, as commands in the documents write it.
    """
    name = Path(text).as_posix().removeprefix(f"{PACKAGE}/").removesuffix(SUFFIX)
    return folder() / f"{name}{SUFFIX}" if name in names() else None


def find(name_or_path: str | os.PathLike, group: str = "") -> Path:
    """Path of a config file that a user names: an existing file, or a name of `names`.

    group: folder of the configs that a message lists, such as "curate"; by default all are.

    Raises:
        ValueError: neither; the message lists the names.
    """
    path = user_path(name_or_path)
    if path.is_file():
        return path
    found = named(name_or_path)
    if found is not None:
        return found
    known = [name for name in names() if not group or name.startswith(f"{group}/")]
    text, ends = os.fspath(name_or_path), {name.rpartition("/")[2]: name for name in known}
    near = difflib.get_close_matches(path.stem, known, MOST_NAMED)
    near = near or [ends[each] for each in difflib.get_close_matches(path.stem, ends, MOST_NAMED)]
    meant = f": did you mean {' or '.join(near)}?" if near else "."
    raise ValueError(
        f"config {shortened(text)} is not a file, and not the name of a config of the package"
        f"{meant} It has {', '.join(known)}."
    )


@contextlib.contextmanager
def importable(path: Path) -> Iterator[None]:
    """Let the config at `path` import its neighbours, and `configs`, while it is read.

    `configs` is searched in the folder of that name above `path`, then in the package's. Modules of
    another folder of this name, read before or by someone else, are put back afterwards.
    """
    here = resolved(path).parent
    own = next((each for each in (here, *here.parents) if each.name == PACKAGE), None)
    search = [os.fspath(each) for each in dict.fromkeys((own, resolved(folder()))) if each]
    package = types.ModuleType(PACKAGE)
    package.__path__ = search
    kept = _taken()
    sys.modules[PACKAGE] = package
    neighbours = os.fspath(own.parent if own is not None else here)
    sys.path.insert(0, neighbours)
    try:
        yield
    finally:
        sys.path.remove(neighbours)
        _taken()
        sys.modules.update(kept)


def _taken() -> dict[str, types.ModuleType]:
    """Modules of `configs`, taken out of `sys.modules`."""
    mine = [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    return {name: sys.modules.pop(name) for name in mine}
