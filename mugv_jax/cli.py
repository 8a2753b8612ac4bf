# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The command line `mugv-jax <command>`.

A user's mistake gives one line on stderr and exit status 2, never a traceback. Ctrl-C gives one
line and 130, SIGTERM one line and 143 (`interrupts`); training saves first, and ends with 0 after
SIGTERM.
"""

import argparse
import importlib
import logging
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from mugv_jax import console, hints, interrupts
from mugv_jax.bounds import require_sane
from mugv_jax.console import MOST_CHARACTERS, line
from mugv_jax.problems import Several

log = logging.getLogger("mugv_jax.cli")  # also if it runs as `__main__`

# Command -> (module with `add_arguments(parser)` and `run(args) -> exit status or None`, help).
# A module whose command has actions sets the default `run` of the parser of each instead.
COMMANDS = {
    "generate": ("mugv_jax.commands.generate", "make videos from prompts and pictures"),
    "enhance": ("mugv_jax.commands.enhance", "restore detail in videos"),
    "serve": ("mugv_jax.commands.serve", "serve videos: a page, and an API like OpenAI's"),
    "finetune": ("mugv_jax.commands.finetune", "train an adapter on a folder of your own clips"),
    "train": ("mugv_jax.commands.train", "train a model, or resume its run"),
    "train-vae": ("mugv_jax.commands.train_vae", "train the video VAE, or resume its run"),
    "curriculum": ("mugv_jax.commands.curriculum", "train stages, each from the one before"),
    "convert": ("mugv_jax.commands.convert", "convert weights to Orbax and back"),
    "data": ("mugv_jax.commands.data", "encode videos and captions for training, and pack them"),
    "expand": ("mugv_jax.commands.expand", "widen or deepen a model, keeping its function"),
    "average": ("mugv_jax.commands.average", "average checkpoints of one model"),
    "post": ("mugv_jax.commands.post", "make, label and pair samples for post-training"),
    "label": ("mugv_jax.commands.label", "let people label videos in a browser"),
    "eval": ("mugv_jax.commands.eval", "score models: VAEs, videos, the demo's model"),
    "demo": ("mugv_jax.commands.demo", "make the demo's clips, text encoder and weights"),
    "verify": ("mugv_jax.commands.verify", "run golden cases and report the errors"),
    "info": ("mugv_jax.commands.info", "print sizes, parameter counts and memory of weights"),
    "compile": ("mugv_jax.commands.compile", "compile a step for a TPU slice, and estimate it"),
}
OVERRIDE = "--config."  # `--config.mesh.tensor=4`, for commands with an `overrides` default
USER_ERROR = 2
MOST_LINES = 3  # of one error
MOST_LISTED = 20  # errors of one message
INTERRUPTED, TERMINATED = 130, 143


class Parser(argparse.ArgumentParser):
    """Argument parser that reports a mistake in one line, without the usage of thirty options.

    Names of options are not abbreviated, but names that other programs use are understood or
    answered (`hints`). Line breaks in descriptions are kept. The help ends with the exit statuses;
    a default `failure` of the parser says what status 1 means.
    """

    def __init__(self, **options: Any):
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"allow_abbrev": False, "formatter_class": layout} | options)
        self.set_defaults(parser=self)

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Iterable[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        own, rest = list(sys.argv[1:] if args is None else args), []
        if self._subparsers is not None:  # what follows the name of a command is the command's
            names = (number for number, text in enumerate(own) if not text.startswith("-"))
            first = next(names, len(own))
            own, rest = own[:first], own[first:]
        if not {"-h", "--help"} & {*own}:
            own = self._understood(own)
        return super().parse_known_args([*own, *rest], namespace)

    def in_own_names(self, arguments: Sequence[str]) -> hints.Read:
        """Arguments with the options of other programs replaced by our own."""
        positional = {action.dest for action in self._actions if not action.option_strings}
        return hints.read(arguments, self._option_string_actions.keys(), positional)

    def _understood(self, arguments: list[str]) -> list[str]:
        """Arguments in our own names; an option that is not understood is an error."""
        read = self.in_own_names(arguments)
        if read.unknown:
            self.error(f"unrecognized arguments: {', '.join(read.unknown)}")
        for note in read.notes:
            sys.stderr.write(f"{self.prog}: {note}\n")
        return read.arguments

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            guess = hints.nearest_command(str(value), action.choices)
            if guess is not None:
                reason = f"invalid choice: {value!r} (did you mean {guess}?)"
                raise argparse.ArgumentError(action, reason)
        super()._check_value(action, value)

    def format_help(self) -> str:
        return f"{super().format_help()}\nexit status: {statuses_text(self)}\n"

    def remarked(self, argument: str) -> str:
        """An argument that nothing takes, and which option it may stand for."""
        guess = hints.nearest(argument.partition("=")[0], self._option_string_actions.keys())
        return f"{argument} (did you mean {guess}?)" if guess else argument

    def error(self, message: str) -> NoReturn:
        if message.endswith("expected one argument"):
            message += " (one that begins with '-' is written --option=VALUE)"
        message = line(message)
        self.exit(USER_ERROR, f"{self.prog}: {message}; see {self.prog} --help.\n")


def statuses(parser: argparse.ArgumentParser) -> dict[int, str]:
    """Exit statuses of a parser's command, and what they mean."""
    failure = parser.get_default("failure")
    return {
        0: "done",
        **({1: failure} if failure else {}),
        USER_ERROR: "a mistake in options or files, told in one line",
        INTERRUPTED: "Ctrl-C",
        TERMINATED: "SIGTERM",
    }


def statuses_text(parser: argparse.ArgumentParser) -> str:
    """Exit statuses in one line."""
    return ", ".join(f"{status} {meaning}" for status, meaning in statuses(parser).items())


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
        args.parser.error(f"unrecognized arguments: {' '.join(map(args.parser.remarked, unknown))}")
    try:
        with console.reporting(args):
            return _answer(args, parser.prog)
    except ValueError as error:  # a file of messages that cannot be written
        if interrupts.pending():
            raise
        return _fail(args, parser.prog, error)


def _answer(args: argparse.Namespace, program: str) -> int:
    """Run a command whose messages are set up; a user's mistake is reported."""
    try:
        _check_numbers(args)
        interrupts.running()
        return args.run(args) or 0
    except ValueError as error:
        if interrupts.pending():
            raise  # of what was interrupted
        return _fail(args, program, error)
    except MemoryError as error:
        reason = f"this machine has too little memory ({error}): ask for something smaller."
        return _fail(args, program, ValueError(reason))
    except OSError as error:
        if error.filename is None or interrupts.pending():
            raise  # not about a file of the user: a bug, which needs its traceback
        return _fail(args, program, error)


def _check_numbers(args: argparse.Namespace) -> None:
    """Raise a ValueError for an option that is not finite or absurdly large."""
    for name, value in vars(args).items():
        require_sane(name, value)


class _Version(argparse.Action):
    """Prints the version of the package and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version  # reads a file, which only this option needs

        sys.stdout.write(f"mugv-jax {version('mugv_jax')}\n")
        parser.exit()


class _Completion(argparse.Action):
    """Prints a script with which a shell completes commands, options and files, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, *__: Any) -> NoReturn:
        completion = importlib.import_module("mugv_jax.commands.completion")
        sys.stdout.write(completion.script(_parser(None, every=True), shell))
        parser.exit()


def _parser(command: str | None, *, every: bool = False) -> argparse.ArgumentParser:
    """Argument parser that imports only the module of `command`, so that help stays fast.

    every: import the modules of all commands.
    """
    parser = Parser(prog="mugv-jax", description="MUG-V video generation in JAX.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.add_argument(
        "--print-completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        metavar="SHELL",
        help="print a script for the completion of bash, zsh or tcsh, and exit",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module_name, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text)
        if every or name == command:
            module = importlib.import_module(module_name)
            module.add_arguments(sub)
            console.add_arguments(sub)
            sub.set_defaults(run=getattr(module, "run", None), parser=sub)
    return parser


def _fail(args: argparse.Namespace, program: str, error: Exception) -> int:
    log.debug("where the error comes from:", exc_info=error)
    console.failed(f"{program} {args.command}: {_short(error)}", USER_ERROR)
    return USER_ERROR


def _short(error: Exception) -> str:
    """The message of an error: at most MOST_LINES lines, or a numbered list of several errors."""
    if isinstance(error, Several):
        return _listed(error)
    lines = [each.rstrip() for each in str(error).strip().splitlines()]
    if len(lines) <= 1:
        return line(" ".join("".join(lines).split())) or "failed without a reason"
    if len(lines) > MOST_LINES:
        more = len(lines) - MOST_LINES + 1
        lines = [*lines[: MOST_LINES - 1], f"  and {more} more lines like these"]
    return "\n".join(line(each, MOST_CHARACTERS // MOST_LINES) for each in lines)


def _listed(error: Several) -> str:
    """Up to MOST_LISTED errors, each in one line."""
    lines = str(error.heading).splitlines()
    shown = error.errors[:MOST_LISTED]
    lines += [f"  {number}. {line(str(each))}" for number, each in enumerate(shown, 1)]
    more = len(error.errors) - len(shown)
    return "\n".join(lines + [f"  and {more} more"] * bool(more))


if __name__ == "__main__":
    sys.exit(main())
