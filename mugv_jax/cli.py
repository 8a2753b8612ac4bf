# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The command line `mugv-jax <command>`.

A user's mistake gives one line on stderr and exit status 2, never a traceback. Ctrl-C gives one
line and 130, SIGTERM one line and 143 (`interrupts`); training saves first, and ends with 0 after
SIGTERM.
"""

import argparse
import contextlib
import importlib
import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from mugv_jax import interrupts
from mugv_jax.bounds import require_sane

# Command -> (module with `add_arguments(parser)` and `run(args) -> exit status or None`, help).
# A module whose command has actions sets the default `run` of the parser of each instead.
COMMANDS = {
    "generate": ("mugv_jax.commands.generate", "make videos from prompts and pictures"),
    "enhance": ("mugv_jax.commands.enhance", "restore detail in videos"),
    "train": ("mugv_jax.commands.train", "train a model, or resume its run"),
    "train-vae": ("mugv_jax.commands.train_vae", "train the video VAE, or resume its run"),
    "curriculum": ("mugv_jax.commands.curriculum", "train stages, each from the one before"),
    "convert": ("mugv_jax.commands.convert", "convert weights to Orbax and back"),
    "data": ("mugv_jax.commands.data", "encode videos and captions for training, and pack them"),
    "expand": ("mugv_jax.commands.expand", "widen or deepen a model, keeping its function"),
    "average": ("mugv_jax.commands.average", "average checkpoints of one model"),
    "eval": ("mugv_jax.commands.eval", "score a model on a world whose captions can be checked"),
    "demo": ("mugv_jax.commands.demo", "make the demo's clips, text encoder and weights"),
    "verify": ("mugv_jax.commands.verify", "run golden cases and report the errors"),
    "info": ("mugv_jax.commands.info", "print sizes, parameter counts and memory of weights"),
    "compile": ("mugv_jax.commands.compile", "compile a step for a TPU slice, and estimate it"),
}
OVERRIDE = "--config."  # `--config.mesh.tensor=4`, for commands with an `overrides` default
USER_ERROR = 2
MOST_LINES, MOST_CHARACTERS = 3, 600  # of an error: more is cut, in the middle of a line
MOST_LOGGED = 2000  # characters of a line of the log
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Argument parser that reports a mistake in one line, without the usage of thirty options.

    Names of options are not abbreviated, and line breaks in descriptions are kept.
    """

    def __init__(self, **options: Any):
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"allow_abbrev": False, "formatter_class": layout} | options)

    def error(self, message: str) -> NoReturn:
        if message.endswith("expected one argument"):
            message += " (one that begins with '-' is written --option=VALUE)"
        message = _line(message)
        self.exit(USER_ERROR, f"{self.prog}: {message}; see {self.prog} --help.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    argv: arguments; by default those of the process, which then ends with this command.
    """
    if interrupts.Watch.current is not None:  # a command that runs another one
        status = _run(list(argv or ()))
        if interrupts.Watch.current.saved is not None:
            raise KeyboardInterrupt  # a run that was stopped is no success of the outer command
        return status
    with interrupts.Watch(lasting=argv is None) as watch:
        try:
            status = _run(list(sys.argv[1:] if argv is None else argv))
            watch.stage = interrupts.FINISHED  # here, so that no signal falls between the blocks
        except BaseException as error:
            watch.stage = interrupts.FINISHED
            # Libraries turn an interruption of their imports into other errors.
            if watch.number is None and not isinstance(error, KeyboardInterrupt):
                raise
        else:
            if watch.number is None:  # a run that Ctrl-C stopped is saved, but not finished
                watch.result = INTERRUPTED if watch.saved == signal.SIGINT else status
                return watch.result
        return watch.end()


def _run(arguments: list[str]) -> int:
    parser = _parser(arguments[0] if arguments else None)
    overrides = [each for each in arguments if each.startswith(OVERRIDE)]
    args, unknown = parser.parse_known_args([each for each in arguments if each not in overrides])
    args.arguments = arguments[1:]  # as they were given, for commands that add to them
    if hasattr(args, "overrides"):
        args.overrides = overrides
    else:
        unknown += overrides
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        with _logging_to_stderr():
            _check_numbers(args)
            interrupts.running()
            return args.run(args) or 0
    except ValueError as error:
        if interrupts.pending():
            raise  # of what was interrupted
        return _fail(parser.prog, args.command, error)
    except MemoryError as error:
        reason = f"this machine has too little memory ({error}): ask for something smaller."
        return _fail(parser.prog, args.command, ValueError(reason))
    except OSError as error:
        if error.filename is None or interrupts.pending():
            raise  # not about a file of the user: a bug, which needs its traceback
        return _fail(parser.prog, args.command, error)


def _check_numbers(args: argparse.Namespace) -> None:
    """Raise a ValueError for an option that is not finite or absurdly large."""
    for name, value in vars(args).items():
        require_sane(name, value)


@contextlib.contextmanager
def _logging_to_stderr() -> Iterator[None]:
    """Print log messages and warnings as plain lines on stderr; restore the settings afterwards."""
    root = logging.getLogger()
    handlers, level, show = list(root.handlers), root.level, warnings.showwarning
    # A library may already have set up the root logger when it was imported.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Cut())
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("absl", "jax", "orbax", "httpx", "transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    warnings.simplefilter("default", UserWarning)
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        root.handlers, warnings.showwarning = handlers, show
        root.setLevel(level)


def _parser(command: str | None) -> argparse.ArgumentParser:
    """Argument parser that imports only the module of `command`, so that help stays fast."""
    parser = Parser(prog="mugv-jax", description="MUG-V video generation in JAX.")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module_name, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text)
        if name == command:
            module = importlib.import_module(module_name)
            module.add_arguments(sub)
            sub.set_defaults(run=getattr(module, "run", None), parser=sub)
    return parser


def _fail(program: str, command: str, error: Exception) -> int:
    sys.stderr.write(f"{program} {command}: {_short(str(error))}\n")
    return USER_ERROR


def _short(message: str) -> str:
    """A message of at most MOST_LINES lines and about MOST_CHARACTERS characters."""
    lines = [line.rstrip() for line in message.strip().splitlines()] or ["failed without a reason"]
    if len(lines) == 1:
        return _line(" ".join(lines[0].split()))
    if len(lines) > MOST_LINES:
        more = len(lines) - MOST_LINES + 1
        lines = [*lines[: MOST_LINES - 1], f"  and {more} more lines like these"]
    return "\n".join(_line(line, MOST_CHARACTERS // MOST_LINES) for line in lines)


def _line(text: str, most: int = MOST_CHARACTERS) -> str:
    """`text` in one line; of a long one its beginning, with the value, and end, with the remedy."""
    text = " ".join(text.split()) if "\n" in text else text
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]} ... ({len(text) - head - tail} characters) ... {text[-tail:]}"


class _Cut(logging.Formatter):
    """The message alone, its long lines cut: a prompt or a list of names may have no end."""

    def format(self, record: logging.LogRecord) -> str:
        return _cut(super().format(record))


def _cut(message: str) -> str:
    return "\n".join(_line(line, MOST_LOGGED) for line in message.splitlines())


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    sys.stderr.write(f"warning: {_cut(str(message))}\n")


if __name__ == "__main__":
    sys.exit(main())
