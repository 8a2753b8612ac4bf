# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A few bad command lines of every kind, in this process; `python -m tests.fuzz` runs many."""

import contextlib
import io
import random
import sys
import time
import traceback

import pytest

from mugv_jax import cli
from tests.fuzz import broken, options
from tests.fuzz.verdict import Answer, Case, faults, tree

SEED, DRAWN = 7, 3
KINDS = dict.fromkeys((*options.GENERATORS, *broken.GENERATORS))


def answer_of(case, here):
    before, out, err = tree(here), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(case.argv)
        except SystemExit as error:
            status = error.code
        except Exception:
            traceback.print_exc(file=sys.stderr)
            status = 1
    return Answer(status, out.getvalue(), err.getvalue(), tree(here) - before)


@pytest.mark.parametrize("number", range(DRAWN))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_bad_command_lines_are_answered_in_a_few_lines(kind, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    case = kind(random.Random(f"{SEED} {number}"), tmp_path)
    started = time.process_time()
    assert not faults(case, answer_of(case, tmp_path)), case
    assert time.process_time() - started < 20


BAD = Case("", ("try",), ("steps",))
LISTED = "mugv-jax try: 5 things are wrong:\n" + "\n".join(f"  {n}. {{}}" for n in range(1, 6))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(2, "", "mugv-jax try: steps=0 must be at least 1.", ()), None),
        (Answer(0, "", "", ()), "accepted"),
        (Answer(1, "", "Traceback (most recent call last):\nKeyError: 1", ()), "a traceback"),
        (Answer(-8, "", "", ()), "status -8"),
        (Answer(2, "", "", ()), "no message"),
        (Answer(2, "", "mugv-jax try: steps.", ()), "no rule"),
        (Answer(2, "", "mugv-jax try: it must be 1.", ()), "is named"),
        (Answer(2, "", "mugv-jax try: steps must\n" + "x\n" * 5, ()), "a message of 6 lines"),
        (Answer(2, "", "mugv-jax try: steps must be " + "9" * 5000, ()), "characters"),
        (Answer(2, "", LISTED.format(*["steps=0 must be 1."] * 5), ()), None),
        (Answer(2, "", LISTED.format(*["steps must be " + "9" * 900] * 5), ()), "item 1"),
        (Answer(2, "", LISTED.format(*["steps."] * 5), ()), "no rule in item 1"),
        (Answer(2, "", "mugv-jax try: steps=0 must be 1.", ("o",)), "left behind: o"),
        (Answer(2, "", "mugv-jax try: steps=0 must be 1.", ("FOREIGN_CODE_RAN",)), "foreign code"),
    ],
)
def test_wrong_answers_are_seen(answer, fault):
    found = faults(BAD, answer)
    assert (not found) if fault is None else fault in found[0]
