# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scripts for the completion of `mugv-jax` in shells.

The scripts are made once, from the parsers of all commands, and then complete without starting
Python (shtab). Completion that runs the program at every key would import JAX each time.
"""

import argparse
from collections.abc import Iterator

import shtab

from mugv_jax.commands.options import local_path, path_text


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Script that completes the command line of `parser` in a shell ("bash", "zsh" or "tcsh")."""
    for each in with_actions(parser):
        for action in each._actions:
            if action.type in (path_text, local_path):
                action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
    return shtab.complete(parser, shell)


def with_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, and the parsers of its commands and their actions."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from with_actions(child)
