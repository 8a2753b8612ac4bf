# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Habits that all commands share, and docs/cli.md, which lists their options."""

import argparse
import re
import subprocess
from pathlib import Path

import pytest

from mugv_jax import cli
from mugv_jax.commands import reference
from mugv_jax.commands.completion import with_actions

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
# Commands that write no files, or only into the folder that they are given.
PRINTS = {"data describe", "verify", "info", "compile", "label tokens", "label serve"}
COMMANDS = {parser.prog.removeprefix("mugv-jax "): parser for parser in reference.commands()}


def options(parser):
    return [action for action in parser._actions if action.option_strings]


def test_the_document_is_current():
    _, found, reference_there = DOCUMENT.read_text().partition(reference.MARK)
    assert found + reference_there == reference.text(), (
        "run: python -m mugv_jax.commands.reference docs/cli.md"
    )


def test_the_document_lists_every_option_of_every_command(tmp_path):
    path = tmp_path / "cli.md"
    path.write_text(f"by hand\n\n{reference.MARK}\nwritten before")
    reference.update(path)
    written = path.read_text()
    assert written.startswith("by hand\n\n<!--")
    assert "written before" not in written
    for name, parser in COMMANDS.items():
        section = written.partition(f"\n## mugv-jax {name}\n")[2].partition("\n## ")[0]
        for action in options(parser):
            assert action.dest == "help" or f"`{', '.join(action.option_strings)}" in section
        for status in (0, 2, 130, 143):
            assert re.search(rf"[ ,]{status} \w", section), (name, status)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_writes_has_an_output_and_overwrite(name):
    parser = COMMANDS[name]
    output = reference.output_of(parser)
    if name in PRINTS:
        assert output is None
        return
    assert output is not None, f"{name}: add_output, or a name in PRINTS"
    assert output.option_strings in ([], ["-o", "--output"])
    assert not output.option_strings or output.dest == "output"
    assert reference.overwrite_of(parser) is not None, f"{name}: add_overwrite"
    assert "--out" not in parser._option_string_actions  # understood, but not shown


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_named_and_explained_alike(name):
    for action in options(COMMANDS[name]):
        assert action.help, action.option_strings
        for option in action.option_strings:
            assert re.fullmatch(r"-[a-z]|--[a-z0-9]+(-[a-z0-9]+)*", option), option


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_tells_the_exit_statuses(name):
    told = COMMANDS[name].format_help().partition("\nexit status: ")[2]
    statuses = [int(each) for each in re.findall(r"(?:^|, )(\d+) ", told)]
    assert statuses in ([0, 2, 130, 143], [0, 1, 2, 130, 143])


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_all_commands_and_options(shell, capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--print-completion", shell])
    assert caught.value.code == 0
    script = capsys.readouterr().out
    for name, parser in COMMANDS.items():
        assert name.split()[-1] in script
        for action in options(parser):
            long = max(action.option_strings, key=len)
            assert long in script or (shell == "tcsh" and long.removeprefix("--") in script)
    if shell == "bash":
        (tmp_path / "script").write_text(script)
        subprocess.run(["bash", "-n", tmp_path / "script"], check=True)


def test_every_parser_is_found():
    parser = argparse.ArgumentParser()
    inner = parser.add_subparsers().add_parser("a").add_subparsers().add_parser("b")
    assert [*with_actions(parser)][-1] is inner
