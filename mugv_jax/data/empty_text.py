# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Text states of the empty caption, which stand for a dropped one, as files beside samples.

empty_text.pt     as a sample's text features, from `mugv-jax data encode`
empty_text.npz    "text" float32 (s, d) and "mask" bool (s), in a packed folder: no PyTorch needed
"""

import zipfile
from pathlib import Path

import numpy as np

from mugv_jax.axes import Bool, Float
from mugv_jax.data.pt_files import read_text
from mugv_jax.data.samples import EMPTY_TEXT, BadSample

PACKED = Path(EMPTY_TEXT).with_suffix(".npz").name


def find_empty_text(samples: Path) -> Path | None:
    """The file beside a `train.csv`, or in the folder of one or of packed samples."""
    folder = samples if samples.is_dir() else samples.parent
    return next((folder / name for name in (PACKED, EMPTY_TEXT) if (folder / name).is_file()), None)


def read_empty_text(path: Path) -> tuple[Float[np.ndarray, "s d"], Bool[np.ndarray, "s"]]:
    """States and mask of either file.

    Raises:
        BadSample: missing, damaged, or of another layout.
    """
    if path.suffix != ".npz":
        return read_text(path)
    try:
        with np.load(path) as found:
            text, mask = found["text"].astype(np.float32), found["mask"] != 0
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadSample(f"{path}: holds no text states ({error}).") from error
    if text.ndim != 2 or mask.shape != text.shape[:1]:
        raise BadSample(
            f"{path}: text must be (tokens, width) and mask (tokens,), not {text.shape} and "
            f"{mask.shape}."
        )
    return text, mask


def write_packed(path: Path, folder: Path) -> None:
    """The states of the file `path` into a packed `folder`."""
    text, mask = read_empty_text(path)
    with open(folder / PACKED, "wb") as file:
        np.savez(file, text=text, mask=mask)
