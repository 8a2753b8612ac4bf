# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The two kinds of tensor files in the published training format.

latents/X.pt              float tensor (c, f, h, w)
text_features/X_text.pt   {"y": float (1, 1, s, d), "mask": (1, s)}

A file that is missing, damaged, or of another layout is a `BadSample`.
"""

import io
from pathlib import Path
from typing import Any

import einops
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Bool, Float
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.weights.torch_files import import_torch, load_plain, numpy_dtype, to_numpy


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
    return _saved(_tensor(einops.rearrange(np.asarray(latent, np.float32), "f h w c -> c f h w")))


def text_bytes(text: Float[np.ndarray, "s d"], mask: Bool[np.ndarray, "s"]) -> bytes:
    """Content of a text file: the states, in their own precision, and their mask."""
    return _saved({"y": _tensor(text[None, None]), "mask": _tensor(mask[None])})


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
    return tensor


def _text(path: Path, **options: Any) -> dict[str, Any]:
    """The content of a text file; options as of `torch.load`."""
    content = _loaded(path, **options)
    if not isinstance(content, dict) or not {"y", "mask"} <= set(content):
        raise BadSample(f'{path}: must hold {{"y": states, "mask": mask}} of a caption.')
    y, mask = (tuple(getattr(content[name], "shape", ())) for name in ("y", "mask"))
    shaped = len(y) == 4 and y[:2] == (1, 1) and mask == (1, y[2])
    if not shaped or not _floating(content["y"]):
        raise BadSample(
            f"{path}: y must be floating-point (1, 1, tokens, width) and mask (1, tokens), "
            f"not {y} and {mask}."
        )
    return content


def _loaded(path: Path, **options: Any) -> Any:
    import_torch()  # first: a missing PyTorch must not be reported as a damaged file
    if not path.is_file():
        raise BadSample(f"{path}: does not exist; encode it again, or remove its row.")
    try:
        return load_plain(path, map_location="cpu", **options)
    except (ValueError, OSError) as error:
        raise BadSample(str(error)) from error


def _floating(value: Any) -> bool:
    return isinstance(value, import_torch().Tensor) and value.is_floating_point()


def _array(path: Path, name: str, tensor: Any) -> np.ndarray:
    try:
        return to_numpy(tensor, numpy_dtype(path, name, tensor))
    except ValueError as error:  # a sparse tensor
        raise BadSample(str(error)) from error


def _tensor(array: np.ndarray) -> Any:
    torch = import_torch()
    array = np.ascontiguousarray(array)
    if array.dtype == jnp.bfloat16:  # PyTorch takes no such array from NumPy, but takes its bits
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _saved(content: Any) -> bytes:
    # In memory the archive's inner name is always the same, so equal tensors make equal files.
    buffer = io.BytesIO()
    import_torch().save(content, buffer)
    return buffer.getvalue()
