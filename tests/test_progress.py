# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import logging
import sys
import types

import pytest

from mugv_jax import console, interrupts, progress


class Terminal(io.StringIO):
    """A stream that is a terminal; `lines` are what it shows, bars drawn over each other once."""

    def isatty(self):
        return True

    @property
    def lines(self):
        shown = [line.split("\r") for line in self.getvalue().split("\n")]
        return [([each for each in parts if each] or [""])[-1].rstrip() for parts in shown]


@pytest.fixture(autouse=True)
def info(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    seen = types.SimpleNamespace(stderr=stream, modules=sys.modules)
    monkeypatch.setattr(progress, "sys", seen)  # pytest itself sets `sys.stderr` before the test
    monkeypatch.setenv("TERM", "xterm")
    return stream


@pytest.fixture
def clock(monkeypatch):
    """Time stands still unless a test moves it."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress.threading.Thread, "start", lambda _: None)
    monkeypatch.setattr(progress.threading.Thread, "join", lambda *_: None)
    return now


def test_short_work_says_nothing_without_a_terminal(caplog):
    assert list(progress.over(range(3), "clips", unit="clip")) == [0, 1, 2]
    assert not caplog.records


def test_long_work_is_a_line_now_and_then(clock, caplog):
    with progress.Bar("clips", total=240, unit="clip") as bar:
        for _ in range(30):
            clock[0] += 2
            bar.update()
    assert caplog.messages[0] == "clips: 6 of 240 clips (2%), 2.0 s/clip, 7:48 left"
    assert len(caplog.messages) == 30 * 2 // 12  # every 10 s in steps of 2 s; the last is the end


def test_after_a_minute_lines_are_rarer(clock, caplog):
    with progress.Bar("clips", total=240, unit="clip") as bar:
        clock[0] += 100
        bar.update()
        caplog.clear()
        clock[0] += progress.LATER_S - 1
        bar.update()
        assert not caplog.messages
        clock[0] += 2
        bar.update()
        assert len(caplog.messages) == 1


def test_work_that_does_not_move_on_is_seen_too(clock, caplog):
    with progress.Bar("training", total=4) as bar, bar.doing("compiling"):
        clock[0] += progress.PLAIN_S + 1
        bar._log_if_due()  # what the ticking thread does
    assert caplog.messages == ["training: 0 of 4 steps (0%), 0:11 so far, compiling"]


def test_compiling_does_not_count_in_the_speed(clock):
    with progress.Bar("training", total=10) as bar:
        clock[0] += 50  # with the compilation of the first step
        bar.update()
        assert bar.remaining_s is None
        with bar.doing("compiling"):
            clock[0] += 70
        clock[0] += 2
        bar.update()
        assert bar.remaining_s == pytest.approx(16)


@pytest.mark.usefixtures("clock")
def test_a_line_has_what_is_shown_beside_the_count(caplog):
    with progress.Bar("training", total=4) as bar:
        bar.update()
        bar.show(["loss 0.25"], loss=0.25)
        bar.line()
    assert caplog.messages == ["training: 1 of 4 steps (25%), loss 0.25, 0:00 so far"]
    assert caplog.records[0].progress == {
        "task": "training", "done": 1, "total": 4, "unit": "step", "elapsed_s": 0,
        "remaining_s": None, "doing": None, "loss": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (90_061, "25:01:01")]
)
def test_durations(seconds, text):
    assert progress.clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [
        (1, "clip", "1 clip"),
        (1234, "clip", "1,234 clips"),
        (999, "B", "999B"),
        (999_600, "B", "1MB"),
        (1.25e9, "B", "1.25GB"),
        (5e16, "B", "5e+04TB"),
    ],
)
def test_amounts(count, unit, text):
    assert progress.amount(count, unit) == text


def test_a_live_bar_moves_below_lines_and_is_gone_at_the_end(terminal):
    handler, record = console.TextHandler(terminal), logging.makeLogRecord({"msg": "a line"})
    with progress.Bar("training", total=4) as bar:
        bar.update()
        handler.handle(record)
        assert terminal.lines[0] == "a line"
        assert terminal.lines[1].startswith("training:")
        assert "1/4" in terminal.lines[1]
    assert terminal.lines == ["a line", ""]


def test_a_bar_that_an_error_left_is_closed(terminal):
    items = progress.over(range(4), "clips", unit="clip")
    next(items)
    assert "clips" in terminal.lines[-1]
    progress.close()
    assert terminal.lines == [""]
    items.close()


def test_a_process_that_ends_at_once_removes_its_bar(capfd, monkeypatch):
    monkeypatch.setattr(progress.settings, "live", True)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(progress.Bar("training", total=4))
        monkeypatch.setattr(sys, "stderr", sys.__stderr__)
        interrupts.clean_up()
        assert capfd.readouterr().err.endswith(progress.CLEAR.decode())
        bar.update(4)  # another thread may do so
        assert "4/4" not in capfd.readouterr().err


def test_quiet_shows_neither(terminal, monkeypatch, clock, caplog):
    monkeypatch.setattr(progress.settings, "quiet", True)
    with progress.Bar("training", total=4) as bar, progress.stage("loading"):
        clock[0] += 100
        bar.update()
        bar.line()
    assert not terminal.getvalue()
    assert not caplog.messages


def test_a_stage_says_what_it_does_at_its_start(caplog):
    with progress.stage("loading the weights"):
        assert caplog.messages == ["loading the weights"]
