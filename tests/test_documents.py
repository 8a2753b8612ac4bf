# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Commands, options, fields and files in documents exist."""

import re
import shlex
from pathlib import Path

import pytest

from mugv_jax import cli
from mugv_jax import config as configs

ROOT = Path(__file__).parents[1]
CARD = ROOT / "mugv_jax" / "assets" / "demo" / "README.md"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    CARD,
    *sorted((ROOT / "docs").glob("*.md")),
]
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^    mugv-jax .*(?:\n {8}.*)*", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def commands(text):
    """Argument lists of the `mugv-jax` commands in lines of shell."""
    for line in re.sub(r"\\+\n\s*", " ", text).splitlines():
        if line.startswith("mugv-jax ") and " ..." not in line:
            yield shlex.split(line, comments=True)[1:]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def check(arguments):
    """Raises the errors of the command line that precede any access to files."""
    if arguments[0].startswith("-"):  # an option of no command, such as --version
        assert arguments[0] in cli._parser(None)._option_string_actions
        return
    overrides = [each for each in arguments if each.startswith(cli.OVERRIDE)]
    parser = cli._parser(arguments[0])
    args = parser.parse_args([each for each in arguments if each not in overrides])
    files = [args.config] if getattr(args, "config", None) else []
    for stage in getattr(args, "stages", ()):
        brace = re.fullmatch(r"(.*)\{(.*)\}(.*)", str(stage))
        files += [f"{brace[1]}{i}{brace[3]}" for i in brace[2].split(",")] if brace else [stage]
    for file in files:
        configs.override(configs.read(file), overrides)
    assert files or not overrides, arguments


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_of_a_document_exist(path):
    for language, block in BLOCK.findall(path.read_text()):
        for arguments in commands(block) if language in ("", "bash") else ():
            check(arguments)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_commands_of_a_config_exist(path):
    for block in INDENTED.findall(path.read_text()):
        for arguments in commands(re.sub(r"^ +", "", block, flags=re.MULTILINE)):
            check(arguments)


def test_commands_are_found():
    blocks = [block for _, block in BLOCK.findall((ROOT / "docs" / "training.md").read_text())]
    found = {arguments[0] for block in blocks for arguments in commands(block)}
    assert {"data", "train", "curriculum", "convert", "average", "generate"} <= found
    stage = (ROOT / "configs" / "stages" / "sft.py").read_text()
    assert "mugv-jax average" in "".join(INDENTED.findall(stage))


def test_a_command_that_does_not_exist_would_be_found():
    with pytest.raises(SystemExit):
        check(["train", "--output", "runs/first"])
    with pytest.raises(ValueError, match="there is no 'stpes'"):
        check(["train", "--config", "configs/mugv_10b.py", "--output", "x", "--config.run.stpes=1"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    for link in LINK.findall(path.read_text()):
        assert (path.parent / link).exists(), link
