# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Notes of the units that are being worked on, by which one that ends the process is found.

A decoder may crash on a damaged file, and takes the process along: nothing catches that. So a note
is written before a unit is begun, and removed after it, also when Python ends by an error or by
Ctrl-C. A note that is still there at the next start says that the process died meanwhile.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

MOST_DEATHS = 2  # of the process over one unit, after which the unit is set aside
CRASHED = (
    f"crashed the reader: the process died {MOST_DEATHS} times while it worked on this file; "
    "repair or replace the file to try it again"
)


class Notes:
    """Notes of one phase in `folder`: a file for each unit, with the number of deaths so far."""

    def __init__(self, folder: Path):
        self.folder = folder

    @contextlib.contextmanager
    def working(self, key: str) -> Iterator[bool]:
        """Context of the work on a unit; False says that it is to be set aside, and not begun."""
        path = self.folder / key
        deaths = self._deaths(path)
        if deaths >= MOST_DEATHS:
            yield False
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(str(deaths + 1))
        try:
            yield True
        except BaseException:  # the process lives
            self._put_back(path, deaths)
            raise
        path.unlink(missing_ok=True)

    def settle(self, key: str) -> None:
        """Removes the note of a unit that was set aside, as its part says so from now on.

        Not before: an engine may begin a unit again whose result it has lost.
        """
        (self.folder / key).unlink(missing_ok=True)

    def forget(self) -> None:
        """Takes one death from every unit in progress: this process ended their workers itself."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                self._put_back(path, self._deaths(path) - 1)

    @staticmethod
    def _deaths(path: Path) -> int:
        """Number in a note; 0 for none, or one that was being written when the process died."""
        try:
            text = path.read_text()
        except FileNotFoundError:
            return 0
        return int(text) if text.isdecimal() else 0

    @staticmethod
    def _put_back(path: Path, deaths: int) -> None:
        if deaths > 0:
            path.write_text(str(deaths))
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
