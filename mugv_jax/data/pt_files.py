# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The two kinds of tensor files in the published training format, usually read without PyTorch.

latents/X.pt              float tensor (c, f, h, w)
text_features/X_text.pt   {"y": float (1, 1, s, d), "mask": (1, s)}

A file that is missing, damaged, or of another layout is a `BadSample`.
"""

import zipfile
from pathlib import Path
from typing import Any

import einops
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Bool, Float
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.tensor_archive import Stored, saved, stored
from mugv_jax.weights.torch_files import (
    MissingTorch,
    import_torch,
    load_plain,
    numpy_dtype,
    to_numpy,
)


def latent_shape(path: Path) -> tuple[int, int, int, int]:
    """(f, h, w, c) of a latent file, from its header."""
    channels, *shape = _latent(path, mmap=True).shape
    return (*shape, channels)


def read_latent(path: Path) -> Float[np.ndarray, "f h w c"]:
    """The latent of a file, in float32."""
    latent = _array(path, "latent", _latent(path))
    return einops.rearrange(latent.astype(np.float32), "c f h w -> f h w c")


def text_width(path: Path) -> int:
    """Width d of the text states in a file, from its header."""
    return _text(path, mmap=True)["y"].shape[-1]


def read_text(path: Path) -> tuple[Float[np.ndarray, "s d"], Bool[np.ndarray, "s"]]:
    """Text states in float32 and their mask, which is true on text."""
    content = _text(path)
    states = _array(path, "y", content["y"]).astype(np.float32)
    return states[0, 0], _array(path, "mask", content["mask"])[0] != 0


def latent_bytes(latent: Float[np.ndarray, "f h w c"]) -> bytes:
    """Content of a latent file, in float32."""
    return saved(einops.rearrange(np.asarray(latent, np.float32), "f h w c -> c f h w"))


def text_bytes(text: Float[np.ndarray, "s d"], mask: Bool[np.ndarray, "s"]) -> bytes:
    """Content of a text file: the states, in their own precision, and their mask."""
    return saved({"y": text[None, None], "mask": mask[None]})


def _latent(path: Path, **options: Any) -> Any:
    """The tensor of a latent file; options as of `torch.load`."""
    tensor = _loaded(path, **options)
    shape = tuple(getattr(tensor, "shape", ()))
    if len(shape) != 4 or min(shape) < 1 or not _floating(tensor):
        found = f"{tensor.dtype} {shape}" if shape else type(tensor).__name__
        raise BadSample(
            f"{path}: must hold one floating-point latent (channels, frames, rows, columns), not "
            f"{found}."
        )
    _dense(path, "the latent", tensor)
    return tensor


def _text(path: Path, **options: Any) -> dict[str, Any]:
    """The content of a text file; options as of `torch.load`."""
    content = _loaded(path, **options)
    if not isinstance(content, dict) or not {"y", "mask"} <= set(content):
        raise BadSample(f'{path}: must hold {{"y": states, "mask": mask}} of a caption.')
    y, mask = (tuple(getattr(content[name], "shape", ())) for name in ("y", "mask"))
    shaped = len(y) == 4 and y[:2] == (1, 1) and mask == (1, y[2])
    if shaped:
        _dense(path, "y", content["y"])
        _dense(path, "mask", content["mask"])
    if not shaped or not _floating(content["y"]):
        raise BadSample(
            f"{path}: y must be floating-point (1, 1, tokens, width) and mask (1, tokens), "
            f"not {y} and {mask}."
        )
    return content


def _loaded(path: Path, **options: Any) -> Any:
    if not path.is_file():
        raise BadSample(f"{path}: does not exist; encode it again, or remove its row.")
    try:
        content = stored(path)
        return load_plain(path, map_location="cpu", **options) if content is None else content
    except MissingTorch:  # not a damaged file
        raise
    except (ValueError, OSError) as error:
        raise BadSample(str(error)) from error


def _floating(value: Any) -> bool:
    if isinstance(value, Stored):
        return jnp.issubdtype(value.dtype, jnp.floating)
    return isinstance(value, import_torch().Tensor) and value.is_floating_point()


def _array(path: Path, name: str, tensor: Any) -> np.ndarray:
    dtype = _dense(path, name, tensor)
    try:
        return tensor.read() if isinstance(tensor, Stored) else to_numpy(tensor, dtype)
    except ValueError as error:
        raise BadSample(str(error)) from error
    except (OSError, zipfile.BadZipFile) as error:
        raise BadSample(f"{path}: {error}") from error


def _dense(path: Path, name: str, tensor: Any) -> np.dtype:
    """The dtype of a tensor that has its values in the file."""
    try:
        return tensor.dtype if isinstance(tensor, Stored) else numpy_dtype(path, name, tensor)
    except ValueError as error:  # a sparse or meta tensor, or one larger than its values
        raise BadSample(str(error)) from error
