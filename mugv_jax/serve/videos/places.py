# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Places of files in a server's folder, by the id of a video.

queue.sqlite, videos/ID.mp4, videos/ID.webp, videos/ID.jpg, inputs/ID/image.png
"""

import re
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

QUEUE = "queue.sqlite"
ID = re.compile("video_[0-9a-f]{32}")
VIDEO, THUMBNAIL, SPRITESHEET = ".mp4", ".webp", ".jpg"
SUFFIXES = (VIDEO, THUMBNAIL, SPRITESHEET)


def new_id() -> str:
    """An id that nobody can guess."""
    return f"video_{secrets.token_hex(16)}"


class Places:
    """Places in a folder, which is made with its parts."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._videos, self._inputs = folder / "videos", folder / "inputs"
        for each in (self._videos, self._inputs):
            each.mkdir(parents=True, exist_ok=True)

    def result(self, id: str, suffix: str = VIDEO) -> Path:
        """Path of a result."""
        assert ID.fullmatch(id)
        return self._videos / f"{id}{suffix}"

    def inputs(self, id: str) -> Path:
        """Folder of the files of a request."""
        assert ID.fullmatch(id)
        return self._inputs / id

    def remove(self, id: str) -> None:
        """Remove all files of a video."""
        for suffix in SUFFIXES:
            self.result(id, suffix).unlink(missing_ok=True)
        shutil.rmtree(self.inputs(id), ignore_errors=True)

    def clear(self) -> None:
        """Remove everything that a server has written."""
        for path in self.folder.glob(f"{QUEUE}*"):
            path.unlink()
        self.sweep(())

    def sweep(self, known: Collection[str]) -> None:
        """Remove files of videos that are not known, and what a killed process left."""
        for path in (*self._videos.iterdir(), *self._inputs.iterdir()):
            id, _, rest = path.name.partition(".")
            if id not in known or (path.is_file() and f".{rest}" not in SUFFIXES):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
