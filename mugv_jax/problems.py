# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Errors that are collected and reported together, so that a user corrects all in one attempt.

problems = Problems()
with problems:
    check_weights(...)      # a ValueError is noted and ends the block
with problems:
    check_data(...)
problems.check()            # raises what was noted
"""

import contextlib
from collections.abc import Sequence
from types import TracebackType


class Several(ValueError):
    """Several errors in one: its text is a numbered list of theirs.

    errors: what is wrong, each with its remedy.
    """

    def __init__(self, errors: Sequence[ValueError]):
        super().__init__(*errors)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        lines = (f"  {number}. {error}" for number, error in enumerate(self.errors, 1))
        return "\n".join([self.heading, *lines])

    @property
    def heading(self) -> str:
        """First line of the text."""
        return f"{len(self.errors)} things are wrong:"


class Problems(contextlib.AbstractContextManager["Problems"]):
    """Collector of the ValueErrors of any number of `with` blocks; equal texts count once."""

    def __init__(self):
        self.errors: list[ValueError] = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if type(error) is not ValueError and not isinstance(error, Several):
            return False  # also for a UnicodeError and the like, which are faults of the program
        self.add(error)
        return True

    def __bool__(self) -> bool:
        return bool(self.errors)

    def add(self, error: ValueError, prefix: str = "") -> None:
        """Note an error, or the parts of a `Several`; `prefix` begins each text."""
        known = {str(each) for each in self.errors}
        for each in error.errors if isinstance(error, Several) else (error,):
            if prefix + str(each) not in known:
                self.errors.append(prefixed(each, prefix))

    def check(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            ValueError: the error itself if there is one, `Several` if there are more.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise Several(self.errors)


def prefixed(error: ValueError, prefix: str) -> ValueError:
    """The error with `prefix` before its text, or before each text of a `Several`."""
    if not prefix:
        return error
    if isinstance(error, Several):
        return Several([prefixed(each, prefix) for each in error.errors])
    made = ValueError(f"{prefix}{error}")
    made.__cause__ = error
    return made
