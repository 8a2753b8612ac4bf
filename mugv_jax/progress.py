# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of long work, on stderr: a live bar in a terminal, and otherwise plain lines.

    with progress.Bar("clips", total=len(jobs), unit="clip") as bar:
        for job in jobs:
            encode(job)
            bar.update()

    for job in progress.over(jobs, "clips", unit="clip"):
        encode(job)

A live bar is drawn by tqdm, once a second also while nothing moves on, and is removed when the work
ends. Elsewhere a line is logged after `PLAIN_S` seconds and then again and again, whether or not
anything moved on; short work logs none. Every line is a record of this module's logger with a field
`progress`, which `console.py` writes as JSON if asked.
"""

import contextlib
import dataclasses
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from mugv_jax import interrupts

log = logging.getLogger(__name__)

PLAIN_S = 10.0  # between plain lines in the first minute of the work; afterwards `LATER_S`
LATER_S = 60.0
TICK_S = 1.0  # between updates of a live bar while nothing moves on, and between JSON records
CLEAR = b"\r\x1b[J"  # from the first column to the end of the screen

Item = TypeVar("Item")


@dataclasses.dataclass
class Settings:
    """How progress is shown in this process.

    quiet: not at all.
    live: by bars; None means if stderr is a terminal or a notebook.
    records: log a record every TICK_S too, for JSON.
    """

    quiet: bool = False
    live: bool | None = None
    records: bool = False

    @property
    def bars(self) -> bool:
        """Whether bars are drawn."""
        return not self.quiet and (is_live() if self.live is None else self.live)


settings = Settings()
_open: "list[Bar]" = []


def is_live() -> bool:
    """Whether what is written to stderr can be overwritten: in a terminal or a notebook."""
    if sys.stderr is None or os.environ.get("TERM") == "dumb":
        return False
    return sys.stderr.isatty() or "ipykernel.kernelapp" in sys.modules


@contextlib.contextmanager
def above() -> Iterator[None]:
    """Context in which text may be written to stdout or stderr: live bars move below it."""
    tqdm = sys.modules.get("tqdm")
    if tqdm is None or not settings.bars:
        yield
        return
    with tqdm.tqdm.external_write_mode(file=sys.stderr):
        yield


def close() -> None:
    """End the bars of loops that an error left; a generator's own end may come much later."""
    for bar in reversed(_open):
        bar.__exit__(RuntimeError)


class Bar(contextlib.AbstractContextManager["Bar"]):
    """Progress of one piece of work, shown from `with` on.

    task: what is done, such as "clips".
    total: number of units; None if it is not known.
    unit: one of them, in the singular. "B" is shown as kB, MB and so on; "" shows no count.
    done: units that were finished earlier.
    shown: False shows nothing.
    """

    def __init__(
        self,
        task: str,
        *,
        total: int | None = None,
        unit: str = "step",
        done: int = 0,
        shown: bool = True,
    ):
        self.task, self.total, self.unit, self.done = task, total, unit, done
        self._shown = shown and not settings.quiet
        self._doing: list[str] = []
        self._values: dict[str, float] = {}
        self._texts: list[str] = []
        self._start = self._plain_at = self._record_at = time.monotonic()
        self._begun: tuple[int, float] | None = None  # count and time of the first update
        self._paused_s = 0.0  # since then
        self._said, self._last = False, -1  # whether a line was logged, and its count
        self._ended = threading.Event()
        self._bar: Any = None
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> "Bar":
        if not self._shown:
            return self
        _open.append(self)
        if settings.bars:
            self._exit.enter_context(interrupts.cleanup(self._wipe))
            self._bar = self._live_bar()
        name = f"progress of {self.task}"
        self._ticker = threading.Thread(target=self._tick, name=name, daemon=True)
        self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self not in _open:
            return
        _open.remove(self)
        self._ended.set()
        with contextlib.suppress(RuntimeError):  # in a generator that this thread collects
            self._ticker.join(TICK_S)  # or it would draw the bar again
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._exit.close()
        if kind is None and self._last != self.done and (self._said or settings.records):
            self._log(plain=self._said)

    def update(self, count: int = 1) -> None:
        """Count further units."""
        self.done += count
        if self._begun is None:
            self._begun, self._paused_s = (self.done, time.monotonic()), 0.0
        if self._shown:
            if self._bar is not None:
                self._bar.set_postfix_str(self._tail, refresh=False)
                self._bar.update(count)
            self._log_if_due()

    def show(self, texts: Iterable[str] = (), **values: float) -> None:
        """Replace what is shown beside the count.

        texts: for people, such as "loss 0.25".
        values: for JSON, such as loss=0.25.
        """
        self._texts, self._values = list(texts), values

    def line(self) -> None:
        """Log a line now, instead of after some seconds; people who see a bar do not see it."""
        if self._shown:
            self._said |= self._bar is None
            self._log(plain=self._bar is None)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Context in which `what` is shown beside the count; its time does not count in the speed.

        what: such as "compiling".
        """
        start = time.monotonic()
        self._doing.append(what)
        self._redraw()
        try:
            yield
        finally:
            self._doing.pop()
            self._paused_s += time.monotonic() - start if not self._doing else 0
            self._redraw()

    @property
    def live(self) -> bool:
        """Whether people see a bar, and not lines."""
        return self._bar is not None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def speed(self) -> float | None:
        """Units per second since the first update, which may have had to compile; else None."""
        if self._begun is None or self.done == self._begun[0]:
            return None
        seconds = time.monotonic() - self._begun[1] - self._paused_s
        return (self.done - self._begun[0]) / max(seconds, 1e-9)

    @property
    def remaining_s(self) -> float | None:
        """Seconds to the end at the mean speed so far; None if unknown."""
        speed = self.speed
        return None if speed is None or self.total is None else (self.total - self.done) / speed

    @property
    def _tail(self) -> str:
        """What is shown behind the elapsed time of a live bar."""
        left, speed = self.remaining_s, self.speed
        parts = [*self._doing[-1:]]
        parts += [f"{clock(left)} left"] if left is not None else []
        if self.unit != "B" or speed is None:
            return ", ".join([*parts, *self._texts])
        return ", ".join([*parts, f"{amount(speed, 'B')}/s", *self._texts])

    def _live_bar(self) -> Any:
        import tqdm  # not for `--help`

        count = "{n_fmt}" if self.unit else ""
        bar = "{bar:20}| {n_fmt}/{total_fmt}" if self.total is not None else count
        return tqdm.tqdm(
            total=self.total,
            initial=self.done,
            desc=self.task,
            unit=self.unit,
            unit_scale=self.unit == "B",
            bar_format=f"{{desc}}: {bar} [{{elapsed}}{{postfix}}]",
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def _redraw(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(self._tail, refresh=True)

    def _tick(self) -> None:
        """Body of the thread that shows that the work goes on."""
        while not self._ended.wait(TICK_S):
            with contextlib.suppress(ValueError, OSError, AttributeError):  # closed at this moment
                self._redraw()
                self._log_if_due()

    def _log_if_due(self) -> None:
        now = time.monotonic()
        pause = PLAIN_S if self.elapsed_s < 60 else LATER_S
        plain = self._bar is None and now - self._plain_at > pause
        if plain or (settings.records and now - self._record_at > TICK_S):
            self._said |= plain
            self._log(plain=plain)

    def _log(self, *, plain: bool) -> None:
        """Log the state; plain: for people too, if they see no bar."""
        self._record_at = time.monotonic()
        self._last = self.done
        if plain:
            self._plain_at = self._record_at
        left = self.remaining_s
        record = {
            "task": self.task,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "elapsed_s": round(self.elapsed_s, 3),
            "remaining_s": None if left is None else round(left, 3),
            "doing": self._doing[-1] if self._doing else None,
            **self._values,
        }
        log.info("%s", self.text, extra={"progress": record, "plain": plain})

    @property
    def text(self) -> str:
        """The state as a line."""
        of, speed, left = "", self.speed, self.remaining_s
        if self.total:
            of = f" of {amount(self.total, self.unit)} ({self.done / self.total:.0%})"
        count = f"{amount(self.done, self.unit, short=bool(self.total))}{of}"
        parts = [count] * bool(self.unit) + self._texts
        if speed is not None:
            parts.append(rate(speed, self.unit))
        if left is None or self.done == self.total:
            parts.append(f"{clock(self.elapsed_s)} so far")
        else:
            parts.append(f"{clock(left)} left")
        return f"{self.task}: {', '.join(parts + self._doing[-1:])}"

    def _wipe(self) -> None:
        """Remove the bar of a process that ends at once, or that is closed already."""
        if self._bar is not None:
            self._ended.set()
            self._bar.disable = True  # no other thread draws it again
            with contextlib.suppress(Exception):
                os.write(sys.stderr.fileno(), CLEAR)


@contextlib.contextmanager
def stage(what: str) -> Iterator[None]:
    """Context of work that has no count, such as "loading the weights": says so at its start."""
    with Bar(what, unit="") as bar:
        if not settings.quiet:
            log.info("%s", what, extra={"plain": not bar.live})
        yield


def over(
    items: Iterable[Item], task: str, *, total: int | None = None, unit: str, shown: bool = True
) -> Iterator[Item]:
    """The items one by one, with a `Bar`; total: their number, if they have no length."""
    count = len(items) if total is None and isinstance(items, Sized) else total
    with Bar(task, total=count, unit=unit, shown=shown) as bar:
        for item in items:
            yield item
            bar.update()


def amount(count: float, unit: str, *, short: bool = False) -> str:
    """A number of units in words: "1 clip", "240 clips", "1.25GB".

    short: the number alone, except of bytes.
    """
    if unit != "B":
        return f"{count:,.0f}" if short else f"{count:,.0f} {unit}{'' if count == 1 else 's'}"
    return f"{scaled(count)}B"


def scaled(count: float) -> str:
    """A number with a prefix of its unit: 1.23k, 45.6M."""
    prefix, left = "", " kMGT"
    while count >= 999.5 and left[1:]:
        count, left = count / 1000, left[1:]
        prefix = left[0]
    return f"{count:.3g}{prefix.strip()}"


def rate(speed: float, unit: str) -> str:
    """A speed in words: "2.5 clips/s", "4.1 s/clip", "350MB/s"."""
    if unit == "B":
        return f"{amount(speed, unit)}/s"
    return f"{speed:.1f} {unit}s/s" if speed >= 1 else f"{1 / speed:.1f} s/{unit}"


def clock(seconds: float) -> str:
    """A duration as 0:05, 12:30 or 3:25:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
