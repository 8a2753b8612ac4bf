# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files of the empty caption's text states, which replace captions that training drops.

empty_text.pt     the same layout as a sample's text file; `mugv-jax data encode` writes it
empty_text.npz    "text" float32 (s, d) and "mask" bool (s), in a packed folder; needs no PyTorch
"""

import zipfile
from pathlib import Path

import numpy as np

from mugv_jax.axes import Bool, Float
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.pt_files import read_text
from mugv_jax.data.samples import EMPTY_TEXT
from mugv_jax.files import existing_archive

PACKED = Path(EMPTY_TEXT).with_suffix(".npz").name


def find_empty_text(samples: Path) -> Path | None:
    """The file of the empty caption at the path of samples: a `train.csv` or a folder."""
    folder = samples if samples.is_dir() else samples.parent
    return next((folder / name for name in (PACKED, EMPTY_TEXT) if (folder / name).is_file()), None)


def read_empty_text(path: Path) -> tuple[Float[np.ndarray, "s d"], Bool[np.ndarray, "s"]]:
    """States and mask of the empty caption, from a file of either layout.

    Raises:
        BadSample: missing, damaged, or of another layout.
    """
    if path.suffix != ".npz":
        return read_text(path)
    try:
        with np.load(existing_archive(path)) as found:
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
    """Writes the states in the file `path` to a packed `folder`."""
    text, mask = read_empty_text(path)
    with open(folder / PACKED, "wb") as file:
        np.savez(file, text=text, mask=mask)
