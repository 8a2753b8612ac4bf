# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import logging
import re
import subprocess
import sys
import types
import warnings

import pytest

from mugv_jax import cli


@pytest.fixture
def command(monkeypatch):
    """A command `try` that runs the function given to it."""

    def install(run):
        module = types.ModuleType("mugv_jax.commands.try_")
        module.add_arguments = lambda parser: parser.add_argument("--number", type=int)
        module.run = lambda args: run(args)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "try", (module.__name__, "for a test"))

    return install


def raising(error):
    def run(_):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("size=3 must be 8."), 2, "mugv-jax try: size=3 must be 8.\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "mugv-jax try: [Errno 2] No such file: 'x'"),
        (KeyboardInterrupt(), 130, "\ninterrupted; what was finished is kept"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(error, status, line, command, capsys):
    command(raising(error))
    assert cli.main(["try"]) == status
    printed = capsys.readouterr().err
    assert printed.startswith(line)
    assert printed.strip().count("\n") == 0


@pytest.mark.parametrize("error", [RuntimeError("ours"), OSError("no file of the user's")])
def test_a_fault_of_ours_is_seen_whole(error, command):
    command(raising(error))
    with pytest.raises(type(error), match=str(error)):
        cli.main(["try"])


def test_the_status_of_a_command_is_that_of_the_program(command, capsys):
    command(lambda args: args.number)
    assert cli.main(["try"]) == 0
    assert cli.main(["try", "--number", "1"]) == 1
    command(lambda _: warnings.warn("look here", stacklevel=1))
    assert cli.main(["try"]) == 0
    assert capsys.readouterr().err == "warning: look here\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "mugv-jax: the following arguments are required: command"),
        (["paint"], "mugv-jax: argument command: invalid choice: 'paint' (choose from"),
        (["pant"], "mugv-jax: argument command: invalid choice: 'pant' (choose from"),
        (["genrate"], "mugv-jax: argument command: invalid choice: 'genrate' (did you mean gen"),
        (["infer"], "mugv-jax: argument command: invalid choice: 'infer' (did you mean generate?)"),
        (
            ["try", "--numbr", "1"],
            "mugv-jax try: unrecognized arguments: --numbr (did you mean --number?)",
        ),
        (["try", "-x"], "mugv-jax try: unrecognized arguments: -x; see mugv-jax try --help."),
        (["--quick", "try"], "mugv-jax: unrecognized arguments: --quick"),
        (["--verison"], "mugv-jax: unrecognized arguments: --verison (did you mean --version?)"),
        (["try", "--number", "x"], "mugv-jax try: argument --number: invalid int value: 'x'"),
        (["try", "--number"], "mugv-jax try: argument --number: expected one argument (one that"),
    ],
)
def test_mistaken_options_are_one_line_that_points_to_the_help(arguments, message, command, capsys):
    command(lambda _: 0)
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(message)
    assert printed.endswith("--help.\n")
    assert printed.count("\n") == 1


def test_help_names_every_command_and_imports_none_of_the_heavy_libraries():
    heavy = ("jax", "flax", "transformers", "torch", "av", "PIL", "numpy", "orbax")
    code = (
        "import sys, mugv_jax.cli\n"
        "try:\n    mugv_jax.cli.main(['--help'])\n"
        f"finally:\n    sys.stderr.write(' '.join(n for n in {heavy} if n in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for name in cli.COMMANDS:
        assert re.search(rf"^    {name}\s", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: mugv-jax {name}" in capsys.readouterr().out


def test_a_command_leaves_logging_and_warnings_as_they_were(capsys):
    root = logging.getLogger()
    before = list(root.handlers), root.level, warnings.showwarning
    assert cli.main(["info", "nowhere/at/all"]) == cli.USER_ERROR
    assert (list(root.handlers), root.level, warnings.showwarning) == before
    assert "nowhere/at/all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("x" * 100_000, r"x{400} \.\.\. \(99400 characters\) \.\.\. x{200}"),
        ("\n".join(["bad:", *"abcdef"]), r"bad:\na\n  and 5 more lines like these"),
        ("one\ntwo\nthree", "one\ntwo\nthree"),
        ("", "failed without a reason"),
    ],
)
def test_long_messages_are_cut(message, printed, command, capsys):
    command(raising(ValueError(message)))
    assert cli.main(["try"]) == 2
    assert re.fullmatch(f"mugv-jax try: {printed}\n", capsys.readouterr().err)
    command(lambda _: logging.warning("y" * 100_000))
    assert cli.main(["try"]) == 0
    assert len(capsys.readouterr().err) < 2100


def test_too_little_memory_is_one_line(command, capsys):
    command(raising(MemoryError("Unable to allocate 87.0 TiB")))
    assert cli.main(["try"]) == 2
    assert "too little memory (Unable to allocate 87.0 TiB)" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["9" * 30, "-" + "9" * 30])
def test_numbers_out_of_all_proportion_are_refused_for_every_command(number, command, capsys):
    command(lambda _: 0)
    assert cli.main(["try", f"--number={number}"]) == 2
    assert "is too large: it must be at most" in capsys.readouterr().err
