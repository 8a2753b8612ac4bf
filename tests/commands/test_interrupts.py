# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM in the worst places; `tests/interrupts.py` interrupts the real commands."""

import signal
import subprocess
import sys
import time

import pytest

# A command `try` that is busy in one of several ways and imports no heavy library.
COMMAND = """
import atexit, ctypes, gc, pathlib, sys, time, types
from mugv_jax import cli, interrupts
mode, place, interrupts.GRACE_S = sys.argv[1], pathlib.Path(sys.argv[2]), 1.0

def ready():
    sys.stderr.write("ready\\n")
    sys.stderr.flush()

def run(_):
    if mode == "finished":
        atexit.register(busy)
        return
    with interrupts.cleanup(lambda: (time.sleep(0.2), place.unlink(missing_ok=True))):
        place.touch()
        busy()

def busy():
    ready()
    until = time.monotonic() + 30
    if mode == "garbage collection":
        gc.callbacks.append(lambda *_: [i for i in range(300_000)])
    while time.monotonic() < until:
        if mode == "garbage collection":
            gc.collect()
        elif mode == "C code":
            ctypes.CDLL(None).sleep(30)
        elif mode == "broad except":
            try:
                time.sleep(0.1)
            except BaseException:
                pass
        elif mode == "error of another kind":
            try:
                time.sleep(30)
            except KeyboardInterrupt as error:
                raise ValueError("cannot be imported") from error

def add_arguments(_):
    if mode == "importing":
        busy()

module = types.ModuleType("mugv_jax.commands.try_")
module.add_arguments, module.run = add_arguments, run
sys.modules[module.__name__] = module
cli.COMMANDS["try"] = (module.__name__, "for a test")
sys.argv = ["mugv-jax", "try"]
sys.exit(cli.main())
"""
MODES = (
    "garbage collection",
    "broad except",
    "error of another kind",
    "C code",
    "importing",
    "finished",
)
LINE = "{}; what was finished is kept, nothing is half-written.\n"


@pytest.fixture
def start(tmp_path):
    """Starts COMMAND in one mode, and waits until it is busy."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
    started = []

    def start(mode):
        words = [sys.executable, "-c", COMMAND, mode, str(tmp_path / "partial")]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stderr.readline() == "ready\n"
        return process

    yield start
    signal.signal(signal.SIGINT, before)
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("mode", MODES)
def test_a_signal_ends_a_command_in_one_line_wherever_it_is(mode, start, tmp_path):
    for number, status, word in (
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
    ):
        process = start(mode)
        process.send_signal(number)
        assert process.wait(20) == status
        assert process.stderr.read() == "\n" + LINE.format(word)
        assert not (tmp_path / "partial").exists()


def test_a_second_signal_ends_a_command_at_once(start, tmp_path):
    process = start("C code")
    process.send_signal(signal.SIGINT)
    time.sleep(0.6)  # sooner, it would be taken for the same one
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stderr.read() == "\n" + LINE.format("interrupted")
    assert not (tmp_path / "partial").exists()
