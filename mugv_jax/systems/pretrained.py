# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of weights, on this machine or in a Hugging Face repository."""

import os
from collections.abc import Sequence
from pathlib import Path

from mugv_jax.files import user_path


def required(folder: Path, kind: str, names: Sequence[str]) -> Path:
    """Path of the first of `names` that is in `folder`.

    kind: name of the contents for the message.

    Raises:
        ValueError: none of them exists.
    """
    found = first_of(folder, names)
    if found is None:
        raise ValueError(
            f"{folder} holds no {kind} weights: looked for {', '.join(names)}. "
            "Download the published files, or convert them with `mugv-jax convert`."
        )
    return found


def first_of(folder: Path, names: Sequence[str]) -> Path | None:
    """Path of the first of `names` that is in `folder`, or None."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def local_folder(
    path_or_repo: str | os.PathLike, files: Sequence[str], *, download: bool = True
) -> Path:
    """Path of a local folder, or of a repository's snapshot, which is downloaded when missing.

    files: files and folders to download, or patterns of them.

    Raises:
        ValueError: no such folder or repository.
    """
    path = user_path(path_or_repo)
    if path.is_dir():
        return path
    if path.exists():
        raise ValueError(f"{path} is a file: give the folder that holds the weights.")
    text = os.fspath(path_or_repo)
    if text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise ValueError(f"{text} does not exist, and is not a repository id (owner/name) either.")
    import huggingface_hub

    patterns = [*files, *(f"{name}/*" for name in files)]
    try:
        snapshot = huggingface_hub.snapshot_download(
            text, allow_patterns=patterns, local_files_only=not download
        )
    except Exception as error:  # error types depend on its version
        if not download:
            raise ValueError(
                f"{text} is no local folder, and no repository of that name has been downloaded: "
                "download it first."
            ) from error
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{text} is no local folder, and the repository could not be downloaded "
            f"({reason}). Give a local folder, or connect and try again."
        ) from error
    return Path(snapshot)
