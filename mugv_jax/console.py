# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a command says on stderr: log lines, warnings, progress and errors, as text or as JSON.

Results go to stdout. With JSON, every line is one object; fields are only ever added:

    time      seconds since 1970
    event     "log", "progress" or "error"
    level     "debug", "info", "warning" or "error"
    message   the line as people would read it
    logger    the module that says it; not in errors
    task, unit, done, total, elapsed_s, remaining_s, doing
              of progress: what is done, counted in what, how far it is and what it does now;
              `total`, `remaining_s` and `doing` may be null
    loss, learning_rate, ...
              of progress, further numbers of the task
"""

import argparse
import contextlib
import io
import json
import logging
import math
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from mugv_jax import interrupts, progress
from mugv_jax.files import check_writable, user_path

PACKAGE = "mugv_jax"
# Libraries that log too much, and from which level on they may. Threads of Orbax, which logs as
# absl, report errors with tracebacks that commands tell in one line.
NOISY = {"absl": logging.CRITICAL} | dict.fromkeys(
    ("jax", "orbax", "httpx", "transformers"), logging.WARNING
)
MOST_CHARACTERS = 600  # of a line of an error
MOST_LOGGED = 2000  # characters of a line of the log
STDERR = "-"  # as the file of --log-json

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `reporting` reads to a command, or to each action of it."""
    actions = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for action in actions:
        for sub in action.choices.values():
            add_arguments(sub)
    if actions:
        return
    group = parser.add_argument_group("messages")
    much = group.add_mutually_exclusive_group()
    much.add_argument("--quiet", action="store_true", help="say nothing but errors and results")
    verbose = "also say what helps to find an error, with times"
    much.add_argument("--verbose", action="store_true", help=verbose)
    text = f"write messages and progress as JSON lines to FILE, {STDERR} for stderr"
    group.add_argument("--log-json", metavar="FILE", help=text)


@contextlib.contextmanager
def reporting(args: argparse.Namespace) -> Iterator[None]:
    """Context in which logs, warnings and progress are shown as the options say.

    A command that another one runs speaks as the outer one does.

    Raises:
        ValueError: a file that cannot be written.
    """
    if any(isinstance(each, TextHandler | JsonHandler) for each in logging.getLogger().handlers):
        yield
        return
    with contextlib.ExitStack() as stack:
        handlers: list[logging.Handler] = []
        if args.log_json not in (None, STDERR):
            handlers.append(JsonHandler(stack.enter_context(_opened(args.log_json))))
        to_stderr = JsonHandler if args.log_json == STDERR else TextHandler
        handlers.append(to_stderr(sys.stderr))
        stack.enter_context(_logging_to(handlers, args))
        if args.log_json == STDERR and interrupts.Watch.current is not None:
            interrupts.Watch.current.form = _as_json
        before = progress.settings
        progress.settings = progress.Settings(
            quiet=args.quiet,
            live=False if args.log_json == STDERR else None,
            records=args.log_json is not None,
        )
        if args.verbose:
            versions = ", ".join(map(_version, (PACKAGE, "jax", "jaxlib", "flax")))
            log.debug("%s, Python %s", versions, platform.python_version())
        try:
            yield
        finally:
            progress.close()
            progress.settings = before


@contextlib.contextmanager
def _logging_to(handlers: list[logging.Handler], args: argparse.Namespace) -> Iterator[None]:
    """Log to `handlers` alone; the settings are restored afterwards."""
    root, own = logging.getLogger(), logging.getLogger(PACKAGE)
    # A library may already have set up the root logger when it was imported.
    before, levels, show = list(root.handlers), (root.level, own.level), warnings.showwarning
    root.handlers = handlers
    root.setLevel(logging.ERROR if args.quiet else logging.INFO)
    own.setLevel(logging.DEBUG if args.verbose else logging.NOTSET)
    for noisy, level in NOISY.items():
        logging.getLogger(noisy).setLevel(logging.INFO if args.verbose else level)
    for handler in handlers if args.verbose else ():
        handler.setFormatter(Timed())
    warnings.simplefilter("default", UserWarning)
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        root.handlers, warnings.showwarning = before, show
        root.setLevel(levels[0])
        own.setLevel(levels[1])


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} (not installed)"


def silence() -> None:
    """Say nothing but warnings: one of several processes speaks for all."""
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.WARNING))
    progress.settings = progress.Settings(quiet=True)


def failed(message: str, status: int) -> None:
    """Report the error that ends a command, and which exit status it has."""
    progress.close()
    handlers = logging.getLogger().handlers
    for handler in handlers:
        if isinstance(handler, JsonHandler):
            handler.write(event="error", level="error", message=message, status=status)
    if not any(isinstance(each, JsonHandler) and each.stream is sys.stderr for each in handlers):
        sys.stderr.write(f"{message}\n")


def line(text: str, most: int = MOST_CHARACTERS) -> str:
    """`text` in one line; of a long one its beginning, with the value, and end, with the remedy."""
    text = " ".join(text.split()) if "\n" in text else text
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]} ... ({len(text) - head - tail} characters) ... {text[-tail:]}"


class Cut(logging.Formatter):
    """The message alone, its long lines cut: a prompt or a list of names may have no end."""

    def format(self, record: logging.LogRecord) -> str:
        return _cut(super().format(record))


class Timed(Cut):
    """Time and module before the message."""

    def __init__(self):
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")


class TextHandler(logging.StreamHandler):
    """Lines above a live bar; progress is written only where no bar shows it."""

    def __init__(self, stream: Any):
        super().__init__(stream)
        self.setFormatter(Cut())
        self.addFilter(lambda record: getattr(record, "plain", True))

    def emit(self, record: logging.LogRecord) -> None:
        with progress.above():
            super().emit(record)


class JsonHandler(logging.StreamHandler):
    """One JSON object per record."""

    def emit(self, record: logging.LogRecord) -> None:
        numbers = getattr(record, "progress", None)
        event = {"event": "log"} if numbers is None else {"event": "progress"}
        try:
            text = _cut(record.getMessage())
            if record.exc_info:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
            level = record.levelname.lower()
            self.write(**event, level=level, message=text, logger=record.name, **(numbers or {}))
        except Exception:
            self.handleError(record)

    def write(self, **fields: Any) -> None:
        """Write an object of these fields and the time."""
        with self.lock or contextlib.nullcontext():
            self.stream.write(_object(**fields))
            self.flush()


def _object(**fields: Any) -> str:
    """Line of JSON with the time and `fields`."""
    fields = {"time": round(time.time(), 3), **fields}
    plain = {name: _json_number(value) for name, value in fields.items()}
    return json.dumps(plain, ensure_ascii=False) + "\n"


def _as_json(text: str) -> str:
    """What an interrupted command says last, as JSON."""
    return _object(event="error", level="error", message=text.strip())


def _json_number(value: Any) -> Any:
    """JSON has no number that is not finite; such a one becomes a text, "nan" or "inf"."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _opened(path: str) -> io.TextIOWrapper:
    check_writable(path, "--log-json")
    try:
        return user_path(path).open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ValueError(f"--log-json {path!r}: cannot be written ({error.strerror}).") from error


def _cut(message: str) -> str:
    return "\n".join(line(each, MOST_LOGGED) for each in message.splitlines())


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    logging.getLogger("py.warnings").warning("warning: %s", message)
