# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reference of all commands in docs/cli.md, made from their parsers.

python -m mugv_jax.commands.reference docs/cli.md    rewrites what follows MARK in the file
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mugv_jax import cli
from mugv_jax.commands.completion import with_actions

MARK = "<!-- Made by `python -m mugv_jax.commands.reference docs/cli.md`; edit above this line. -->"
OUTPUTS = ("output", "dst")  # destinations of what a command writes


def commands() -> list[argparse.ArgumentParser]:
    """Parsers of all commands, or of their actions where they have some."""
    every = with_actions(cli._parser(None, every=True))
    return [parser for parser in every if parser._subparsers is None]


def text() -> str:
    """The reference in Markdown: an overview, then the options of each command."""
    parsers = commands()
    lines = [MARK, "", *_overview(parsers)]
    for parser in parsers:
        lines += ["", *_section(parser)]
    return "\n".join(lines) + "\n"


def output_of(parser: argparse.ArgumentParser) -> argparse.Action | None:
    """The argument that says where a command writes; None for a command that only prints."""
    return next((action for action in parser._actions if action.dest in OUTPUTS), None)


def overwrite_of(parser: argparse.ArgumentParser) -> argparse.Action | None:
    """The option --overwrite of a command, if it has one."""
    return parser._option_string_actions.get("--overwrite")


def _overview(parsers: list[argparse.ArgumentParser]) -> Iterator[str]:
    yield "## All commands"
    yield ""
    yield "| command | writes | with `--overwrite` | status 1 |"
    yield "| --- | --- | --- | --- |"
    for parser in parsers:
        output, overwrite = output_of(parser), overwrite_of(parser)
        cells = (
            f"[`{parser.prog}`](#{_anchor(parser.prog)})",
            "" if output is None else f"{_names(output)}: {_meaning(parser, output)}",
            "" if overwrite is None else _meaning(parser, overwrite),
            parser.get_default("failure") or "",
        )
        yield _line(*cells)


def _section(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {parser.prog}"
    if parser.description:
        yield ""
        yield _escaped(" ".join(parser.description.split()))
    for group in parser._action_groups:
        shown = [action for action in group._group_actions if _is_shown(action)]
        if shown:
            title = group.title or "options"
            yield ""
            if group.description:
                yield f"{_escaped(' '.join(group.description.split()))}\n"
            yield _line(title, "")
            yield "| --- | --- |"
            for action in shown:
                yield _line(_names(action), _meaning(parser, action))
    yield ""
    yield f"Exit status: {cli.statuses_text(parser)}."


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)


def _names(action: argparse.Action) -> str:
    """Names of an argument and of its value, as code."""
    value = action.metavar or ""
    if not action.option_strings:
        value = str(value or action.dest)
        return f"`{value} ...`" if action.nargs in ("+", "*") else f"`{value}`"
    if action.nargs != 0 and not value:
        value = ",".join(map(str, action.choices)) if action.choices else action.dest.upper()
        value = f"{{{value}}}" if action.choices else value
    shown = f"{', '.join(action.option_strings)} {value}".strip()
    return f"`{shown}{' ...' * (action.nargs in ('+', '*'))}`"


def _meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    meaning = parser._get_formatter()._expand_help(action) if action.help else ""
    if action.required and action.option_strings:
        meaning += " (required)"
    return _escaped(" ".join(meaning.split()))


def _escaped(words: str) -> str:
    return re.sub(r"([*<|])", r"\\\1", words)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _anchor(title: str) -> str:
    return title.replace(" ", "-")


def update(path: Path) -> None:
    """Rewrite what follows MARK in the document `path`."""
    before, _, _ = path.read_text().partition(MARK)
    path.write_text(before + text())


if __name__ == "__main__":
    update(Path(sys.argv[1]))
