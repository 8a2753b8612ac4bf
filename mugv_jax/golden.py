# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Golden cases: reference numbers of the published models, and what this package computes for them.

A case is NAME.json (kind, config, tensor names and shapes) and NAME.npz (inputs and outputs in the
published layout, b c f h w). Its weights follow from the tensors' names, so none are stored.
"""

import dataclasses
import functools
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.typing import ArrayLike, DTypeLike

from mugv_jax.axes import Array
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.path import MODEL_TIME, frame_times, interpolate
from mugv_jax.flow.sampler import sample
from mugv_jax.flow.schedule import sample_times, shift_ratio, shift_time
from mugv_jax.nn.mmdit.model import place_embed
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from mugv_jax.nn.wan import streaming
from mugv_jax.pipelines import windows
from mugv_jax.pipelines.network import DiTVelocity
from mugv_jax.train.loss import velocity_loss
from mugv_jax.weights.check import check, variable_shapes
from mugv_jax.weights.models import MODELS
from mugv_jax.weights.parameters import published_shapes
from mugv_jax.weights.sources import Source, TensorSpec

# Ours and the reference, both in the published layout.
Outputs = dict[str, tuple[ArrayLike, ArrayLike]]


@dataclasses.dataclass(frozen=True)
class Row:
    """One output of one case. `note` says why there is no number, where there is none."""

    case: str
    output: str
    max_abs: float
    relative_l2: float
    passed: bool
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Case:
    """The contents of one case; `sibling` reads another case of the same folder."""

    path: Path
    spec: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    dtype: DTypeLike

    @property
    def name(self) -> str:
        return self.path.stem

    def sibling(self, name: str) -> "Case":
        return read_case(self.path.with_name(f"{name}.json"), self.dtype)


def recipe(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of a golden tensor: a function of its published name and shape."""
    match name:
        case "shift" if shape:
            return np.asarray(LATENT_SHIFT, np.float32).reshape(shape)
        case "scale" if shape:
            return np.asarray(LATENT_SCALE, np.float32).reshape(shape)
    seed = zlib.crc32(name.encode())
    normal = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        return (normal / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    if name.endswith(("weight", "gamma")):
        return (1 + 0.1 * normal).astype(np.float32)
    return np.asarray(0.1 * normal, np.float32)


class RecipeSource(Source):
    """A checkpoint whose tensors are made by `recipe`."""

    format = "golden"

    def __init__(self, path: Path, shapes: Mapping[str, Sequence[int]]):
        self.path = path
        self.specs = {
            name: TensorSpec(tuple(shape), np.dtype(np.float32)) for name, shape in shapes.items()
        }

    def read(self, name: str) -> np.ndarray:
        return recipe(name, self.specs[name].shape)


def read_case(path: Path, dtype: DTypeLike = jnp.float32) -> Case:
    """The case of NAME.json at `path`.

    Raises:
        ValueError: a file that is missing or damaged.
    """
    try:
        spec = json.loads(path.read_text())
        arrays: dict[str, np.ndarray] = {}
        if spec["kind"] != "manifest":
            with path.with_suffix(".npz").open("rb") as file, np.load(file) as data:
                arrays = dict(data)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no golden case: {type(error).__name__}: {error}.") from error
    return Case(path=path, spec=spec, arrays=arrays, dtype=dtype)


def build(case: Case) -> tuple[Any, Any]:
    """(module, variables) of the model of `case`, weights by the recipe."""
    model = MODELS[case.spec["kind"]]
    config = model.config_from_published(case.spec["config"])
    tensors = check(RecipeSource(case.path, case.spec["tensors"]), model, config)
    dtype = np.dtype(case.dtype)
    variables = {}
    for path, lazy in tensors.items():
        if not path.startswith("unused/"):
            variables[path] = np.empty(lazy.shape, dtype)
            for index, piece in lazy.cast(dtype).pieces():
                variables[path][index] = piece
    tree = traverse_util.unflatten_dict(variables, sep="/")
    return model.build(config, case.dtype), jax.device_put(tree)


def _ours(x: np.ndarray) -> np.ndarray:
    return einops.rearrange(x, "b c f h w -> b f h w c")


def _published(x: Any) -> np.ndarray:
    return einops.rearrange(np.asarray(x, np.float32), "b f h w c -> b c f h w")


def _condition(a: Mapping[str, np.ndarray], frames: int, rows: slice) -> dict[str, Array]:
    """What a DiT reads beside latent and time, of the samples `rows`."""
    text = a["y"][rows, 0]
    index = a.get("frame_indice", np.arange(frames + 2)[None])
    return {
        "text": jnp.asarray(text),
        "text_mask": jnp.asarray(a["text_mask"][rows] != 0),
        "fps": jnp.broadcast_to(a["fps"].reshape(-1), (len(text),)).astype(jnp.float32),
        "frame_index": jnp.broadcast_to(index, (len(text), frames + 2)).astype(jnp.int32),
    }


def _dit(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    condition = _condition(a, a["x"].shape[2], slice(None))
    t = frame_times(jnp.asarray(a["timestep"], jnp.float32), jnp.asarray(a["x_mask"], bool))
    apply = jax.jit(lambda *args, **kw: module.apply(*args, **kw, mutable="intermediates")[1])
    sown = apply(variables, _ours(a["x"]), t, condition.pop("text"), **condition)["intermediates"]
    residual = sown["blocks"]["residual"][0]
    return {
        "out": (_published(sown["out"][0]), a["out"]),
        "block0": (np.asarray(residual[0]), a["block0"]),
        "block_last": (np.asarray(residual[-1]), a["block_last"]),
    }


def _sampler(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case.sibling(case.spec["dit"]))
    x = np.array(_ours(a["noise"]), np.float32)
    x[:, 0] = einops.rearrange(a["reference_latent"], "c 1 h w -> 1 h w c")
    frames = x.shape[1]
    ratio = shift_ratio(int(a["height"]), int(a["width"]), int(a["num_frames"]))
    times = sample_times(int(a["steps"]), ratio)
    out = sample(
        DiTVelocity(module),
        variables,
        jnp.asarray(x),
        times=times,
        noisy=jnp.broadcast_to(jnp.arange(frames) > 0, x.shape[:2]),
        positive=_condition(a, frames, slice(0, 1)),
        negative=_condition(a, frames, slice(1, 2)),
        guidance=Guidance(scale=float(a["cfg_scale"])),
    )
    return {
        "timesteps": (times[:-1] * MODEL_TIME, a["timesteps"]),
        "out": (_published(out.x), a["out"]),
    }


def _loss(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case.sibling(case.spec["dit"]))
    x_0, noise = jnp.asarray(_ours(a["latent"])), jnp.asarray(_ours(a["noise"]))
    noisy = jnp.asarray(a["x_mask"], bool)
    t = shift_time(
        jnp.asarray(a["u"]), shift_ratio(int(a["height"]), int(a["width"]), x_0.shape[1])
    )
    per_frame = frame_times(t, noisy)
    x_t, target = interpolate(x_0, noise, per_frame)
    condition = _condition(a, x_0.shape[1], slice(None))
    v = DiTVelocity(module)(variables, x_t, per_frame * MODEL_TIME, condition)
    loss = velocity_loss(v, target, noisy)
    return {
        "timestep": (np.asarray(t) * MODEL_TIME, a["timestep"]),
        "noisy_latent": (_published(x_t), a["noisy_latent"]),
        "loss_per_sample": (np.asarray(loss), a["loss_per_sample"]),
        "loss": (np.mean(loss), a["loss"]),
    }


def _vae(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    pixels = jnp.asarray(_ours(a["x"]))
    features = jax.jit(lambda v, x: module.apply(v, x, method="encode_features"))(variables, pixels)
    moments = jax.jit(lambda v, x: module.apply(v, x, method="encode_moments"))(variables, features)
    latent = jnp.asarray(_ours(a["latent"]))
    frames = latent.shape[1] * module.config.time_factor

    decode = functools.partial(windows.decode, module, variables, latent)
    return {
        "spatial_features": (_published(features), a["spatial_features"]),
        "posterior_mean": (_published(moments[0]), a["posterior_mean"]),
        "posterior_logvar": (_published(moments[1]), a["posterior_logvar"]),
        "latent": (_published(windows.encode(module, variables, pixels)), a["latent"]),
        "decoded": (_published(decode(frames)), a["decoded"]),
        "decoded_num_frames_minus_3": (
            _published(decode(frames - 3)),
            a["decoded_num_frames_minus_3"],
        ),
    }


def _wan_vae(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    pixels, mean = jnp.asarray(_ours(a["x"])), jnp.asarray(_ours(a["mu"]))
    whole = jax.jit(module.apply, static_argnames="method")
    encode, decode = (
        jax.jit(functools.partial(part, module, method=f"{part.__name__}_mean"))
        for part in (streaming.encode, streaming.decode)
    )
    return {
        "mu": (_published(encode(variables, pixels)), a["mu"]),
        "mu at once": (_published(whole(variables, pixels, method="encode_mean")), a["mu"]),
        "decoded": (_published(decode(variables, mean)), a["decoded"]),
        "decoded at once": (_published(whole(variables, mean, method="decode_mean")), a["decoded"]),
    }


def _t5(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    mask = a["mask"] != 0
    out = jax.jit(module.apply)(variables, a["ids"].astype(np.int32), mask)
    return {"out": (np.asarray(out)[mask], a["out"][mask])}


def _wan_dit(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    x, clean = (jnp.asarray(_ours(a[name])) for name in ("x", "y"))
    texts = [a[f"context{i}"] for i in range(len(x))]
    longest = max(map(len, texts))
    text = np.stack([np.pad(each, ((0, longest - len(each)), (0, 0))) for each in texts])
    t = jnp.broadcast_to(jnp.asarray(a["timestep"], jnp.float32), (len(x),))
    apply = jax.jit(module.apply)
    return {
        "out_i2v": (_published(apply(variables, x, t, text, clean)), a["out_i2v"]),
        "out_t2v": (_published(apply(variables, x, t, text)), a["out_t2v"]),
    }


def _mmdit(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    x, text = jnp.asarray(_ours(a["x"])), a["encoder_hidden_states"]
    t = jnp.asarray(a["timestep"], jnp.float32)
    out = jax.jit(module.apply)(variables, x, t, text, a["pooled"])
    grid = (-(-size // step) for size, step in zip(x.shape[1:4], module.config.patch, strict=True))
    places = place_embed(*grid, module.config.width)[None]
    return {"out": (_published(out), a["out"]), "pos_embed": (np.asarray(places), a["pos_embed"])}


def _clip_text(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    out = jax.jit(module.apply)(variables, a["ids"].astype(np.int32))
    return {name: (np.asarray(value), a[name]) for name, value in out._asdict().items()}


# Of a schedule's name: (shift, time to start from).
_SCHEDULES = {"enh": (1.0, 0.3), "wan": (5.0, 1.0)}


def _schedules(case: Case) -> Outputs:
    outputs = {}
    for name, reference in case.arrays.items():
        found = re.fullmatch(r"(?:(\w+)_)?(sigmas|timesteps)_(\d+)(?:_shift(\d+))?", name)
        model, unit, steps, shift = found.groups()
        ratio, start = (float(shift), 1.0) if shift else _SCHEDULES[model]
        times = sample_times(int(steps), ratio, start)[: len(reference)]
        outputs[name] = (times * (MODEL_TIME if unit == "timesteps" else 1), reference)
    return outputs


def _manifest(case: Case) -> Outputs:
    """Names and shapes as two equal lists of numbers, or an error that names the differences."""
    model = MODELS[case.spec["model"]]
    config = model.config_from_published(case.spec["config"])
    listed = {name: tuple(shape) for name, shape in case.spec["tensors"].items()}
    check(RecipeSource(case.path, listed), model, config)
    mapped = published_shapes(model.table(config), variable_shapes(model, config))
    if set(mapped) != set(listed):
        raise ValueError(f"names differ: {sorted(set(mapped) ^ set(listed))}.")
    sizes = [[np.prod(shapes[n], dtype=float) for n in listed] for shapes in (mapped, listed)]
    return {f"{len(listed)} names": (np.array(sizes[0]), np.array(sizes[1]))}


KINDS: dict[str, Callable[[Case], Outputs]] = {
    "mugv_dit": _dit,
    "mugv_sampler": _sampler,
    "mugv_loss": _loss,
    "mugv_vae": _vae,
    "t5_encoder": _t5,
    "umt5_encoder": _t5,
    "clip_text": _clip_text,
    "contentv_dit": _mmdit,
    "wan_enhancer_dit": _wan_dit,
    "wan_vae": _wan_vae,
    "schedules": _schedules,
    "manifest": _manifest,
}


def run(folder: Path, dtype: DTypeLike, tolerance: float) -> Iterator[Row]:
    """One row per output of every case in `folder`, as they are computed.

    A case that cannot be run is a failed row with a note, and the rest goes on.

    Raises:
        ValueError: a folder without cases.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ValueError(f"{folder} holds no golden cases (NAME.json with NAME.npz).")
    for path in paths:
        try:
            case = read_case(path, dtype)
            kind = case.spec["kind"]
            if not isinstance(kind, str) or kind not in KINDS:
                raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}.")
            with jax.default_matmul_precision("highest"):
                outputs = KINDS[kind](case)
        except Exception as error:  # a case's numbers may be wrong in any way
            named = "" if type(error) is ValueError else f"{type(error).__name__}: "
            note = " ".join(f"{named}{error}".split())
            yield Row(path.stem, "-", np.nan, np.nan, passed=False, note=note)
            continue
        for name, (ours, reference) in outputs.items():
            yield compare(path.stem, name, ours, reference, tolerance)


def compare(case: str, output: str, ours: ArrayLike, reference: ArrayLike, tolerance: float) -> Row:
    """max |ours - reference| and ||ours - reference|| / ||reference||; NaN never passes."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    if ours.shape != reference.shape:
        note = f"shape {ours.shape}, must be {reference.shape}"
        return Row(case, output, np.nan, np.nan, passed=False, note=note)
    difference = ours - reference
    relative = float(np.linalg.norm(difference) / max(np.linalg.norm(reference), 1e-30))
    return Row(case, output, float(np.max(np.abs(difference))), relative, relative <= tolerance)
