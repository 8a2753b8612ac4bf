# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from mugv_jax.problems import Problems, Several


def noted(*texts):
    problems = Problems()
    for text in texts:
        with problems:
            raise ValueError(text)
    return problems


def test_nothing_noted_is_no_error():
    problems = noted()
    problems.check()
    assert not problems


def test_one_error_is_raised_as_it_is():
    with pytest.raises(ValueError, match=r"^size=3 must be 8\.$") as caught:
        noted("size=3 must be 8.").check()
    assert type(caught.value) is ValueError


def test_several_errors_are_a_numbered_list_without_repetitions():
    with pytest.raises(Several) as caught:
        noted("a is bad.", "b is bad.", "a is bad.").check()
    assert str(caught.value) == "2 things are wrong:\n  1. a is bad.\n  2. b is bad."


def test_lists_of_errors_are_joined_and_named():
    inner, outer = noted("a.", "b."), noted("c.")
    try:
        inner.check()
    except ValueError as error:
        outer.add(error, "stage 1: ")
    assert [str(each) for each in outer.errors] == ["c.", "stage 1: a.", "stage 1: b."]


def test_faults_of_the_program_are_not_collected():
    problems = Problems()
    with pytest.raises(UnicodeDecodeError), problems:
        b"\xff".decode()
    with pytest.raises(TypeError), problems:
        len(3)  # pyright: ignore[reportArgumentType]
    assert not problems
