# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C (SIGINT) and SIGTERM: how they end a command, and what is removed before it ends.

    first signal    KeyboardInterrupt in the main thread, so that all blocks clean up. Libraries
                    lose it in callbacks of the garbage collector and in broad `except` clauses; it
                    is raised again until the command ends.
    second signal, or `GRACE_S` after the first: registered temporary files are removed, one line is
                    written, and the process ends at once, whatever C code its threads are in.

A signal while a command is still importing, or after it has finished, ends the process at once too:
an exception in the initialisation of a C library becomes another error or a crash.
"""

import atexit
import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

GRACE_S = 15.0  # for a computation in C code, such as a compilation, and to clean up
AGAIN_S = 0.5  # earlier signals repeat the first: a launcher forwards what the terminal sent
POKE_S = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM)
POKE = signal.SIGALRM  # sent by the watching thread to the main thread
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
IMPORTING, RUNNING, FINISHED = "importing", "running", "finished"

_cleanups: dict[int, Callable[[], object]] = {}  # by a number; of temporary files that exist now


@contextlib.contextmanager
def cleanup(function: Callable[[], object]) -> Iterator[None]:
    """Context that calls `function` when it ends, also if the process is ended by a signal.

    function: removes temporary files, whether or not they exist; a signal does not interrupt it.
        Enter the context before the files are made.
    """
    number = id(function)
    _cleanups[number] = function
    try:
        yield
    finally:
        with _uninterrupted():
            function()
            if not pending():  # else again at the very end: threads of libraries may still write
                _cleanups.pop(number, None)


def clean_up() -> None:
    """Call what is registered by `cleanup` still; errors are dropped."""
    for function in reversed(list(_cleanups.values())):
        with contextlib.suppress(Exception):
            function()
    _cleanups.clear()


class Watch(contextlib.AbstractContextManager["Watch"]):
    """Handlers of both signals for the duration of a command; does nothing outside the main thread.

    lasting: leave the handlers installed when the context ends, because the process ends then.
    """

    current: "Watch | None" = None

    def __init__(self, *, lasting: bool = False):
        self.number: int | None = None  # the signal that ends the command
        self.saved: int | None = None  # a signal that a training run took to save and stop
        self.result: int | None = None  # exit status of a command that has finished
        self.form: Callable[[str], str] = str  # of `line`, such as JSON
        self.stage = IMPORTING if lasting else RUNNING
        self.postponed = self.held = 0  # depths of contexts
        self._lasting = lasting
        self._received: list[float] = []  # times
        self._before: dict[int, Any] = {}
        self._ending = threading.Lock()

    def __enter__(self) -> "Watch":
        if Watch.current is not None or threading.current_thread() is not threading.main_thread():
            return self
        Watch.current = self
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()
        handlers = {**dict.fromkeys(SIGNALS, self._handle), POKE: self._poked}
        for number, handler in handlers.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # by `nohup`, or a shell's `&`
                self._before[number] = signal.signal(number, handler)
        self._disabled = logging.root.manager.disable
        if self._lasting:
            atexit.register(self._leave)  # the first to be registered is the last to be called
        return self

    def __exit__(self, *_: object) -> None:
        self.stage = FINISHED
        if Watch.current is not self or self._lasting:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python
        signal.set_wakeup_fd(self._wakeup)
        os.write(self._write, b"\0")
        self._thread.join()
        for end in (self._read, self._write):
            os.close(end)
        sys.unraisablehook = self._hook
        logging.disable(self._disabled)
        Watch.current = None

    @property
    def status(self) -> int:
        """Exit status of an interrupted command: 130, or 143 after SIGTERM."""
        return 128 + (self.number or self.saved or signal.SIGINT)

    @property
    def line(self) -> str:
        """What an interrupted command says last."""
        word = WORDS[signal.Signals(self.number or self.saved or signal.SIGINT)]
        return self.form(f"\n{word}; what was finished is kept, nothing is half-written.\n")

    def end(self) -> int:
        """Clean up, say that the finished command was interrupted, and return its status.

        The process of a command ends here: its interpreter would wait for threads that compute.
        """
        if self._lasting and Watch.current is self:
            self.end_now(self.number or self.saved or signal.SIGINT)
        clean_up()
        sys.stderr.write(self.line)
        return self.status

    def end_now(self, number: int) -> None:
        """End the process, from any thread."""
        if not self._ending.acquire(blocking=False):
            return
        self.number = self.number or number
        clean_up()
        _kill_children()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(Exception):
            os.write(sys.stderr.fileno(), self.line.encode())
        os._exit(self.status)

    def _leave(self) -> None:
        """End the process of a finished command before Python is taken down.

        That takes a second with JAX, in which signals have no handlers.
        """
        if self.result is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.result)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if self.stage != RUNNING and self._lasting:
            self.end_now(number)
        self._raise(frame)

    def _poked(self, _: int, frame: FrameType | None) -> None:
        if self.number is not None and self.stage == RUNNING and not self.postponed:
            self._raise(frame)

    def _raise(self, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in `frame`, unless one is being handled or must wait."""
        while frame is not None:
            if frame.f_code is Watch._unraisable.__code__:
                return  # Python would report the exception, and go on
            frame = frame.f_back
        error = sys.exception()
        while error is not None:
            if isinstance(error, KeyboardInterrupt):
                return
            error = error.__context__
        if not self.held:
            logging.disable(logging.CRITICAL)  # libraries report what the interruption broke
            raise KeyboardInterrupt

    def _unraisable(self, unraisable: Any) -> None:
        lost = self.number is not None and issubclass(unraisable.exc_type, KeyboardInterrupt)
        # After a failed write Orbax closes the loop to which TensorStore reports the other ones.
        if not lost and str(unraisable.exc_value) != "Event loop is closed":
            self._hook(unraisable)

    def _watch(self) -> None:
        """Body of the watching thread: reads the signals that Python writes to the pipe."""
        while True:
            pending = self.number is not None and not self.postponed
            ready, *_ = select.select([self._read], [], [], POKE_S if pending else None)
            if ready:
                for number in os.read(self._read, 64):
                    if number == 0:
                        return
                    if number in SIGNALS:
                        self._count(number)
            first = self._received[:1]
            if not first or self.postponed:
                continue
            if time.monotonic() - first[0] > GRACE_S:
                self.end_now(self.number or signal.SIGINT)
            elif self.stage == RUNNING:
                signal.pthread_kill(threading.main_thread().ident or 0, POKE)

    def _count(self, number: int) -> None:
        now = time.monotonic()
        if self._received and now - self._received[-1] < AGAIN_S:
            return
        self._received.append(now)
        if not self.postponed:
            self.number = self.number or number
        if len(self._received) > 1:
            self.end_now(number)


@contextlib.contextmanager
def postponed() -> Iterator[Callable[[int], None]]:
    """Context in which the caller handles the first signal; the second still ends the process.

    Gives a function to call with the number of a signal that the caller obeys.
    """
    watch = Watch.current
    if watch is None:
        yield lambda _: None
        return
    watch.postponed += 1
    try:
        yield lambda number: setattr(watch, "saved", number)
    finally:
        watch.postponed -= 1
        if watch.saved is not None:
            watch._received.clear()  # obeyed; a signal from here on is a first one


def running() -> None:
    """Say that the imports are over, so that a signal is an exception from here on."""
    if Watch.current is not None:
        Watch.current.stage = RUNNING


def pending() -> bool:
    """Whether a signal is ending the command."""
    return Watch.current is not None and Watch.current.number is not None


def stopping() -> bool:
    """Whether a signal is ending the command, or asked it to save and stop."""
    return pending() or (Watch.current is not None and Watch.current.saved is not None)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    watch = Watch.current
    if watch is None:
        yield
        return
    watch.held += 1
    try:
        yield
    finally:
        watch.held -= 1


def _kill_children() -> None:
    """Kill the worker processes of `multiprocessing`, which would outlive `os._exit`."""
    processes = sys.modules.get("multiprocessing.process")
    for child in list(getattr(processes, "_children", ())):
        with contextlib.suppress(Exception):
            child.kill()
