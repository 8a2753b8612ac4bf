# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stage of curation: a pure function from rows to rows, which states its columns.

A row is a dict. A plain loop, Ray Data and any other engine call the same stages; a stage that
holds a model loads it on its first call, so that it can be sent to another process before.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mugv_jax.curate.packages import require

Row = dict[str, Any]
# Types of columns that are kept: "string", "bool", "int64", "float64", "binary" (bytes), and lists
# of them, such as "list<float64>". Every one may be None: not measured.
Columns = Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage(abc.ABC):
    """A function from rows to rows; fields of derived classes are its settings.

    READS: columns that rows must have.
    WRITES: columns that it adds, with their types.
    PASSES: columns that it adds for later stages only, such as frames; they are never stored.
    MODEL: whether it holds a model, which an engine gives a process of its own.
    PACKAGES: modules of the extra `curate` that it imports, such as "cv2".
    """

    NAME: ClassVar[str]
    READS: ClassVar[tuple[str, ...]] = ()
    WRITES: ClassVar[Columns] = {}
    PASSES: ClassVar[tuple[str, ...]] = ()
    MODEL: ClassVar[bool] = False
    PACKAGES: ClassVar[tuple[str, ...]] = ()

    @property
    def measured(self) -> frozenset[str]:
        """Columns of WRITES that it fills with these settings; the others stay None."""
        return frozenset(self.WRITES)

    def check(self) -> None:
        """Checks, before any work, what the stage will need: packages, and files of its settings.

        Raises:
            ValueError: something is missing; the message says what to do.
        """
        require(*self.PACKAGES)

    @abc.abstractmethod
    def run(self, rows: Sequence[Row]) -> list[Row]:
        """New rows with the added columns; the given ones are not changed."""

    def __call__(self, rows: Sequence[Row]) -> list[Row]:
        """`run`, with the columns checked that it reads and writes."""
        for row in rows:
            if missing := [name for name in self.READS if name not in row]:
                raise KeyError(f"stage {self.NAME} reads {', '.join(missing)}, which no stage made")
        made = self.run(rows)
        for row in made:
            if missing := [name for name in (*self.WRITES, *self.PASSES) if name not in row]:
                raise KeyError(f"stage {self.NAME} did not write {', '.join(missing)}")
        return made
