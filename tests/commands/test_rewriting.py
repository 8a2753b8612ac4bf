# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from mugv_jax import cli
from mugv_jax.commands import generate
from mugv_jax.rewriting import endpoint
from tests.rewriting.stub import CAPTION, chat, serving


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Function that runs the command up to the models; returns its status and the prompts made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr(
        generate, "_write", lambda _, found, __: made.append([place.row.prompt for place in found])
    )

    def run(stub, *words):
        monkeypatch.setenv(endpoint.BASE_URL, stub.url)
        made.clear()
        return cli.main(["generate", "--rewrite", "small", *words]), made

    return run


def test_prompts_are_rewritten_shown_and_kept(command, capsys):
    with serving(chat(), chat("Another one.")) as stub:
        assert command(stub, "a red ball", "a blue box") == (0, [[CAPTION, "Another one."]])
        assert command(stub, "a red ball") == (0, [[CAPTION]])
        assert len(stub.asked) == 2
    printed = capsys.readouterr().err
    assert f"'a red ball', rewritten by small (new): {CAPTION}" in printed


def test_bad_options_are_told_before_the_model_is_asked(command, capsys):
    with serving() as stub:
        assert command(stub, "--frames", "12", "a red ball")[0] == cli.USER_ERROR
        assert not stub.asked
    assert "frames" in capsys.readouterr().err


def test_a_failure_ends_the_command_or_goes_on_with_the_users_words(command, capsys):
    with serving(chat("")) as stub:
        assert command(stub, "a red ball") == (cli.USER_ERROR, [])
        (line,) = [x for x in capsys.readouterr().err.splitlines() if "mugv-jax generate:" in x]
        assert "--rewrite-fallback" in line
        assert command(stub, "--rewrite-fallback", "a red ball") == (0, [["a red ball"]])
    assert "The prompt is used as it is: a red ball" in capsys.readouterr().err
