# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A file on which a decoder ends the process is set aside at the third start."""

import ctypes
import dataclasses
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import ClassVar

import pytest

from mugv_jax.curate import engine
from mugv_jax.curate.crashes import CRASHED, Notes
from mugv_jax.curate.engine import PROBLEM, Phase, Unit
from mugv_jax.curate.stage import Stage

READS = {"clip": "string", "path": "string"}
PROGRAM = """
    import sys
    from pathlib import Path
    from tests.curate.test_crashes import phase, units
    from mugv_jax.curate import engine
    engine.run(phase(), units("abc"), Path(sys.argv[1]), None)
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoder(Stage):
    """Dies as a crash in C code does, on one file."""

    NAME = "decoder"
    READS = ("clip",)
    WRITES: ClassVar = {"length": "int64"}

    def run(self, rows):
        if any(row["clip"] == "b" for row in rows):
            ctypes.string_at(0)
        return [{**row, "length": 1} for row in rows]


def phase():
    return Phase("shots", "video", (Decoder(),), READS)


def units(names):
    return [Unit(name, [{"clip": name, "path": f"{name}.mp4"}]) for name in names]


def test_a_unit_over_which_the_process_died_twice_is_set_aside(tmp_path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)]
    ends = [
        subprocess.run(command, cwd=root, capture_output=True, timeout=120).returncode
        for _ in range(3)
    ]
    assert ends == [-signal.SIGSEGV, -signal.SIGSEGV, 0]
    rows = list(phase().parts(tmp_path).read("abc"))
    assert [row[PROBLEM] for row in rows] == [None, CRASHED, None]
    assert [row["length"] for row in rows] == [1, None, 1]
    assert not list(phase().notes(tmp_path).folder.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_of_python_is_no_death_of_the_process(tmp_path, monkeypatch, error):
    def fails(*_):
        raise error

    notes = phase().notes(tmp_path)
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(engine.Carrier, "rows", fails)
            with pytest.raises(error):
                engine.run(phase(), units("a"), tmp_path, None)
    with notes.working("a") as safe:
        assert safe


def test_units_whose_workers_were_ended_on_purpose_are_begun_again(tmp_path):
    notes = Notes(tmp_path / "notes")
    for name, text in {"a": "1", "b": "2", "c": "no number"}.items():
        notes.folder.mkdir(exist_ok=True)
        (notes.folder / name).write_text(text)
    notes.forget()
    assert {each.name: each.read_text() for each in notes.folder.iterdir()} == {"b": "1"}
