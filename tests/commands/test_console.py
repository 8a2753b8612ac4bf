# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of every command about what it says."""

import argparse
import importlib
import json
import logging
import re
import sys
import types

import pytest

from mugv_jax import cli, progress
from mugv_jax.problems import Several

log = logging.getLogger("mugv_jax.try")
KEYS = {"time", "event", "level", "message"}


@pytest.fixture
def command(monkeypatch):
    """Installs a command `try` that calls a function."""

    def install(run):
        module = types.ModuleType("mugv_jax.commands.try_")
        module.add_arguments = lambda _: None
        module.run = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "try", (module.__name__, "for a test"))

    return install


def talk(_):
    log.debug("for debugging")
    log.info("as usual")
    log.warning("take care")
    logging.getLogger("absl").error("of a thread that fails")  # which the command tells itself
    list(progress.over(range(2), "clips", unit="clip"))
    sys.stdout.write("result\n")


def fail(_):
    raise ValueError("size=3 must be 8.")


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_said_depends_on_the_option(command, capsys):
    command(talk)
    said = {}
    for option in ((), ("--quiet",), ("--verbose",)):
        assert cli.main(["try", *option]) == 0
        out, said[option] = capsys.readouterr()
        assert out == "result\n"
    assert said[()] == "as usual\ntake care\n"
    assert said["--quiet",] == ""
    versions, *verbose = said["--verbose",].splitlines()
    assert re.search("mugv_jax .*, jax .*, Python ", versions)
    assert [line.split(": ")[1] for line in verbose] == [
        "for debugging", "as usual", "take care", "of a thread that fails",
    ]  # fmt: skip
    assert "DEBUG   mugv_jax.try" in said["--verbose",]


def test_an_error_is_said_in_quiet_too_and_in_verbose_with_its_place(command, capsys):
    command(fail)
    assert cli.main(["try", "--quiet"]) == 2
    assert capsys.readouterr().err == "mugv-jax try: size=3 must be 8.\n"
    assert cli.main(["try", "--verbose"]) == 2
    said = capsys.readouterr().err
    assert "in fail" in said
    assert said.endswith("mugv-jax try: size=3 must be 8.\n")


def test_json_on_stderr_is_all_that_is_there(command, capsys):
    command(talk)
    assert cli.main(["try", "--log-json", "-"]) == 0
    out, err = capsys.readouterr()
    assert out == "result\n"
    usual, care, clips = objects(err)
    assert usual.keys() == KEYS | {"logger"}
    assert (usual["event"], usual["level"], usual["message"]) == ("log", "info", "as usual")
    assert care["level"] == "warning"
    assert clips["event"] == "progress"
    assert (clips["task"], clips["done"], clips["total"], clips["unit"]) == ("clips", 2, 2, "clip")
    command(fail)
    assert cli.main(["try", "--log-json", "-"]) == 2
    (error,) = objects(capsys.readouterr().err)
    assert error.keys() == KEYS | {"status"}
    assert (error["event"], error["status"]) == ("error", 2)
    assert error["message"] == "mugv-jax try: size=3 must be 8."


def test_an_interruption_is_an_object_too(command, capsys):
    def run(_):
        raise KeyboardInterrupt

    command(run)
    assert cli.main(["try", "--log-json", "-"]) == 130
    (error,) = objects(capsys.readouterr().err)
    assert error["message"].startswith("interrupted; what was finished is kept")


def test_json_in_a_file_leaves_stderr_to_people(command, capsys, tmp_path):
    file = tmp_path / "log.jsonl"
    for run in (talk, fail):  # a second run is appended
        command(run)
        cli.main(["try", "--log-json", str(file)])
    assert capsys.readouterr().err == "as usual\ntake care\nmugv-jax try: size=3 must be 8.\n"
    events = [each["event"] for each in objects(file.read_text())]
    assert events == ["log", "log", "progress", "error"]


def test_numbers_that_json_has_not_are_texts(command, capsys):
    def run(_):
        with progress.Bar("training", total=1) as bar:
            bar.show(loss=float("nan"))
            bar.line()

    command(run)
    assert cli.main(["try", "--log-json", "-"]) == 0
    assert objects(capsys.readouterr().err)[0]["loss"] == "nan"


def test_a_file_that_cannot_be_written_is_one_line(command, capsys, tmp_path):
    command(talk)
    assert cli.main(["try", "--log-json", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mugv-jax try: --log-json '{tmp_path}'")
    assert said.count("\n") == 1


def test_a_command_that_another_runs_speaks_as_the_outer_one(command, capsys, monkeypatch):
    command(talk)
    outer = types.ModuleType("mugv_jax.commands.outer")
    outer.add_arguments = lambda _: None
    outer.run = lambda _: cli.main(["try"])
    monkeypatch.setitem(sys.modules, outer.__name__, outer)
    monkeypatch.setitem(cli.COMMANDS, "outer", (outer.__name__, "for a test"))
    assert cli.main(["outer", "--quiet"]) == 0
    assert capsys.readouterr() == ("result\n", "")
    assert progress.settings == progress.Settings()


def test_several_errors_are_a_list_of_bounded_length(command, capsys):
    def run(_):
        raise Several([ValueError(f"value {n} must be {'x' * 1000}.") for n in range(30)])

    command(run)
    assert cli.main(["try"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mugv-jax try: 30 things are wrong:"
    assert lines[1].startswith("  1. value 0 must be x")
    assert lines[-1] == "  and 10 more"
    assert len(lines) == 2 + cli.MOST_LISTED
    assert max(map(len, lines)) < 700


def leaves(parser):
    """Parsers of a command that have no actions below them."""
    subs = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not subs:
        yield parser
    for action in subs:
        for each in action.choices.values():
            yield from leaves(each)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_and_action_has_the_options(name):
    importlib.import_module(cli.COMMANDS[name][0])
    (command,) = (
        action.choices[name]
        for action in cli._parser(name)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for parser in leaves(command):
        options = {option for action in parser._actions for option in action.option_strings}
        assert {"--quiet", "--verbose", "--log-json"} <= options, parser.prog
