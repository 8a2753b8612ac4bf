# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import shlex

import pytest

from mugv_jax import cli, hints
from mugv_jax.commands import reference

OWN = ("--frames", "--guidance", "--negative-prompt", "--output", "--seed", "--size", "--lora")


def read(line, positional=("prompt",)):
    return hints.read(shlex.split(line), OWN, positional)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("--seed 3 'a boat'", "--seed 3 'a boat'"),
        ("--negative_prompt x", "--negative-prompt x"),
        ("--out=x.mp4", "--output=x.mp4"),
        ("--num_frames 9 --guidance_scale=3", "--frames 9 --guidance=3"),
        ("--NUM-FRAMES 9", "--frames 9"),
        ("--prompt 'a boat' --seed 3", "--seed 3 'a boat'"),
        ("--prompt='a boat' --lora_path x", "--lora x 'a boat'"),
        ("'--not an option' -x 3", "'--not an option' -x 3"),
        ("--seed 3 -- --num_frames", "--seed 3 -- --num_frames"),
    ],
)
def test_names_of_other_programs_are_understood(line, ours):
    assert read(line).arguments == shlex.split(ours)
    assert not read(line).unknown


@pytest.mark.parametrize(
    ("line", "notes"),
    [
        ("--out x --negative_prompt y", []),
        ("--num_frames 9", ["--num_frames is read as --frames."]),
        ("--prompt x", ["--prompt is read as prompt."]),
    ],
)
def test_another_name_is_noted(line, notes):
    assert read(line).notes == notes


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("--sed 3", ["--sed (did you mean --seed?)"]),
        ("--guidnce=3", ["--guidnce (did you mean --guidance?)"]),
        ("--neg x", ["--neg (did you mean --negative-prompt?)"]),
        ("--foo --height 3", ["--foo", "--height (here it is --size WIDTHxHEIGHT, such as --size "
                              "1280x720)"]),
        ("--offload_model 1", [f"--offload_model (here it is {hints.MEMORY})"]),
        ("--ulysses_size 2", ["--ulysses_size"]),  # an answer that this command does not have
        ("--num_inference_steps 2", ["--num_inference_steps"]),
    ],
)  # fmt: skip
def test_others_are_answered(line, unknown):
    assert read(line).unknown == unknown


def test_a_destination_that_is_no_option_is_explained():
    (remark,) = hints.read(["a.pt", "--output", "b.pt"], ("--dtype",), ("src", "dst")).unknown
    assert "DST, is given without an option" in remark


def test_every_name_stands_for_one_option_that_some_command_has():
    parsers = reference.commands()
    ours = {name for parser in parsers for name in parser._option_string_actions}
    ours |= {action.dest for parser in parsers for action in parser._actions}
    for own in (*hints.SYNONYMS, *hints.SILENT.values()):
        assert f"--{own}" in ours or own in ours, own
    others = [name for names in hints.SYNONYMS.values() for name in names]
    others += [*hints.ANSWERS, *hints.SILENT]
    assert len(others) == len({*others})
    for parser in parsers:  # no name hides an option of our own
        for name in others:
            option = f"--{name}"
            if option in parser._option_string_actions:
                assert hints.read([option], parser._option_string_actions, ()).notes == []


def test_a_command_of_another_program_is_one_of_ours():
    assert hints.nearest_command("sample", cli.COMMANDS) == "generate"
    assert hints.nearest_command("trian", cli.COMMANDS) == "train"
    assert hints.nearest_command("paint", cli.COMMANDS) is None


def test_a_script_written_for_another_program_runs(capsys):
    line = "generate --prompt 'a boat' --num_inference_steps 0 --guidance_scale 2 --out x.mp4"
    assert cli.main(shlex.split(line)) == cli.USER_ERROR
    *notes, error = capsys.readouterr().err.splitlines()
    assert error == "mugv-jax generate: steps=0 must be at least 1."
    assert notes == [
        "mugv-jax generate: --prompt is read as prompt.",
        "mugv-jax generate: --num_inference_steps is read as --steps.",
        "mugv-jax generate: --guidance_scale is read as --guidance.",
    ]
