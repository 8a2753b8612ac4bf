# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Commands, options, fields and files in documents and notebooks exist."""

import csv
import json
import re
import shlex
import sys
import types
from pathlib import Path

import pytest

from mugv_jax import cli
from mugv_jax import config as configs

ROOT = Path(__file__).parents[1]
CARD = ROOT / "mugv_jax" / "assets" / "demo" / "README.md"
DOCUMENTS = [ROOT / "README.md", CARD, *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
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


def code_cells(path):
    cells = json.loads(path.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_python_without_outputs(path):
    for source in code_cells(path):
        compile(re.sub(r"^%", "#", source), path.name, "exec")
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")


def test_the_notebook_on_fine_tuning_says_what_the_commands_take(tmp_path, monkeypatch):
    """All cells run, with the commands replaced."""
    called = []

    def main(arguments):
        check(arguments)
        called.append(arguments[0])
        if arguments[0] == "data":
            with Path(arguments[2]).open() as file:
                assert [set(row) for row in csv.DictReader(file)] == [{"path", "caption"}] * 3
        else:
            folder = Path(
                arguments[arguments.index("--output") + 1 if "--output" in arguments else 2]
            )
            folder.mkdir()
            (folder / "metrics.jsonl").write_text('{"step": 1, "train/loss": 2.0}\n')
        return 0

    monkeypatch.setattr(cli, "main", main)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(Video=None))
    monkeypatch.chdir(ROOT / "notebooks")
    space = {}
    for source in code_cells(ROOT / "notebooks" / "finetune.ipynb"):
        source = re.sub(r"^%", "#", source).replace('"finetune"', repr(str(tmp_path)))
        exec(compile(source, "cell", "exec"), space)
    assert called == ["data", "train", "convert"]
