# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Golden cases: reference numbers of the published models, and the models to compare with them.

A case is NAME.json (kind, config, tensor names and shapes) and NAME.npz (inputs and outputs in the
published layout, b c f h w). Its weights are computed from the tensors' names; none are stored.
"""

import dataclasses
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import einops
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.typing import ArrayLike, DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.files import existing_archive, read_json
from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from mugv_jax.weights.check import check
from mugv_jax.weights.parameters import UNUSED, LazyTensor
from mugv_jax.weights.place import place
from mugv_jax.weights.registry import MODELS, Model
from mugv_jax.weights.sources import Source, TensorSpec

MAX_TENSOR_BYTES = 2**30  # of a case; cases are small models
# Ours and the reference, both in the published layout.
Outputs = dict[str, tuple[ArrayLike, ArrayLike]]
# (name, shape) of a tensor -> its value.
Values = Callable[[str, tuple[int, ...]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
    """Contents of one case."""

    path: Path
    spec: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    dtype: DTypeLike

    def sibling(self, name: str) -> "Case":
        """Another case of the same folder."""
        return read_case(self.path.with_name(f"{name}.json"), self.dtype)

    def model(self, kind: str = "kind") -> tuple[Model, Any]:
        """Model and config that the case states; `kind` is the entry that names the model."""
        model = MODELS[self.spec[kind]]
        return model, model.config_from_published(self.spec["config"])

    def variables(self, parameters: Mapping[str, LazyTensor]) -> Any:
        """Tree of the parameters (path -> tensor) that the model reads, in the case's dtype."""
        dtype = np.dtype(self.dtype)
        read = {path: x for path, x in parameters.items() if not path.startswith(f"{UNUSED}/")}
        placed = {path: place(lazy.cast(dtype)) for path, lazy in read.items()}
        return traverse_util.unflatten_dict(placed, sep="/")


def recipe(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Value of a golden tensor: a function of its published name and shape."""
    latent = {"shift": LATENT_SHIFT, "scale": LATENT_SCALE}
    if shape and name in latent:
        return np.asarray(latent[name], np.float32).reshape(shape)
    seed = zlib.crc32(name.encode())
    normal = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        return (normal / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    if name.endswith(("weight", "gamma")):
        return (1 + 0.1 * normal).astype(np.float32)
    return np.asarray(0.1 * normal, np.float32)


class RecipeSource(Source):
    """Checkpoint whose tensors are computed from their names."""

    format = "golden"

    def __init__(self, path: Path, shapes: Mapping[str, Sequence[int]], values: Values = recipe):
        self.path, self._values = path, values
        self.specs = {
            name: TensorSpec(tuple(shape), np.dtype(np.float32)) for name, shape in shapes.items()
        }

    def read(self, name: str) -> np.ndarray:
        if self.specs[name].nbytes > MAX_TENSOR_BYTES:
            raise ValueError(f"{name} of {self.specs[name].nbytes} bytes: too large for a case.")
        return self._values(name, self.specs[name].shape)


def read_case(path: Path, dtype: DTypeLike = jnp.float32) -> Case:
    """Case whose description is the file `path`, NAME.json.

    Raises:
        ValueError: a file that is missing or damaged.
    """
    try:
        spec = read_json(path)
        arrays: dict[str, np.ndarray] = {}
        if spec["kind"] != "manifest":
            arrays_file = existing_archive(path.with_suffix(".npz"), "arrays")
            with arrays_file.open("rb") as file, np.load(file) as data:
                arrays = dict(data)
    except (OSError, EOFError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no golden case: {type(error).__name__}: {error}.") from error
    return Case(path=path, spec=spec, arrays=arrays, dtype=dtype)


def build(case: Case, values: Values = recipe) -> tuple[Any, Any]:
    """(module, variables) of the model of `case`."""
    model, config = case.model()
    tensors = check(RecipeSource(case.path, case.spec["tensors"], values), model, config)
    return model.build(config, case.dtype), case.variables(tensors)


def ours(x: np.ndarray) -> np.ndarray:
    """Array of the published layout in ours, channels last."""
    return einops.rearrange(x, "b c f h w -> b f h w c")


def published(x: Any) -> np.ndarray:
    """Array of our layout in the published one, float32."""
    return einops.rearrange(np.asarray(x, np.float32), "b f h w c -> b c f h w")


def unit_times(timestep: np.ndarray, shape: tuple[int, ...]) -> Float[Array, "b f"]:
    """Times in [0, 1] of all frames. NumPy's quotient is exact enough to be multiplied back."""
    t = np.asarray(timestep, np.float32) / np.float32(MODEL_TIME)
    return jnp.broadcast_to(t.reshape(-1, 1), shape)
