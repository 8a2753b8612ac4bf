# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint formats: recognition, and opening for reading or writing."""

from collections.abc import Mapping
from pathlib import Path

from mugv_jax.files import existing_file, read_json, read_text, user_path
from mugv_jax.weights.distcp import METADATA as TORCH_DIST_METADATA
from mugv_jax.weights.distcp import TorchDistSource
from mugv_jax.weights.megatron import HEAD_NORM, MegatronNames
from mugv_jax.weights.megatron_files import TRACKER, LegacySource, LegacyWriter
from mugv_jax.weights.names import with_known_names
from mugv_jax.weights.open_clip import MARK, OpenClipNames
from mugv_jax.weights.orbax_files import (
    CHECKPOINTS,
    ORBAX_METADATA,
    OrbaxSource,
    TrainingSource,
    is_training,
)
from mugv_jax.weights.safetensors_files import SafetensorsSource, SafetensorsWriter
from mugv_jax.weights.shards import INDEX_SUFFIX, ShardedSource
from mugv_jax.weights.sources import Source, TensorSpec, Writer
from mugv_jax.weights.torch_files import TorchSource, TorchWriter

FORMATS = ("orbax", "torch", "safetensors", "diffusers", "megatron")
TORCH_SUFFIXES = (".pt", ".pth", ".bin")
# Weight files of a Hugging Face folder, in the order in which its loaders look for them.
FOLDER_FILES = tuple(
    f"{name}{index}"
    for name in ("diffusion_pytorch_model.safetensors", "model.safetensors", "pytorch_model.bin")
    for index in ("", INDEX_SUFFIX)
)


def open_source(path: str | Path, *, ema: bool = False) -> Source:
    """Opens a published or converted checkpoint under its published tensor names.

    Names that other programs give to these tensors are replaced (`names.py`).

    ema: read the averaged weights of a training checkpoint.

    Raises:
        ValueError: a path that is missing, damaged, or of an unknown format.
    """
    return with_known_names(open_named(path, ema=ema))


def open_named(path: str | Path, *, ema: bool = False) -> Source:
    """Opens a checkpoint, or a file of low-rank updates, under the names that it has.

    Raises:
        ValueError: see `open_source`.
    """
    path = user_path(path)
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder.")
    source = _open_folder(path, ema=ema) if path.is_dir() else _open_file(path, ema=ema)
    if ema and source.format not in ("torch", "torch_dist", "training"):
        source.close()
        raise ValueError(f"{path}: {source.format} checkpoints hold no EMA weights to choose.")
    return OpenClipNames(source) if MARK in source.specs else source


def _open_file(path: Path, *, ema: bool = False) -> Source:
    existing_file(path, "checkpoint")
    if path.name.endswith(INDEX_SUFFIX):
        return ShardedSource(path, _open_file)
    if path.suffix == ".safetensors":
        return SafetensorsSource(path)
    if path.suffix in TORCH_SUFFIXES:
        return TorchSource(path, ema=ema)
    raise ValueError(
        f"{path}: must be a folder, or a file that ends in .safetensors, "
        f"{', '.join(TORCH_SUFFIXES)} or {INDEX_SUFFIX}."
    )


def _open_folder(path: Path, *, ema: bool) -> Source:
    if (path / ORBAX_METADATA).is_file():
        return OrbaxSource(path)
    if is_training(path):
        return TrainingSource(path, ema=ema, open_source=open_source)
    if (path / TRACKER).is_file():
        path = path / _iteration(path)
    if (path / TORCH_DIST_METADATA).is_file():
        source = TorchDistSource(path, ema=ema)
        return MegatronNames(source, path) if HEAD_NORM in source.specs else source
    if path.is_dir() and any(child.name.startswith("mp_rank_") for child in path.iterdir()):
        return MegatronNames(LegacySource(path), path)
    for name in FOLDER_FILES:
        if (path / name).is_file():
            source = _open_file(path / name, ema=ema)
            source.config = _config_json(path / "config.json")
            return source
    raise ValueError(
        f"{path}: no checkpoint in this folder: neither Orbax ({ORBAX_METADATA}) nor of a training "
        f"run ({CHECKPOINTS}/STEP) nor Megatron ({TRACKER}) nor {', '.join(FOLDER_FILES)}; name "
        "the file itself if it is called otherwise."
    )


def _iteration(path: Path) -> str:
    """Name of the newest iteration's folder, from Megatron's tracker file."""
    text = read_text(path / TRACKER, most=4096).strip()
    if text != "release" and not (text.isdecimal() and len(text) < 20):
        raise ValueError(f"{path / TRACKER}: holds {text[:20]!r}, must be an iteration's number.")
    folder = text if text == "release" else f"iter_{int(text):07d}"
    if not (path / folder).is_dir():
        raise ValueError(f"{path / TRACKER}: names iteration {text}, but {folder} is missing.")
    return folder


def _config_json(path: Path) -> Mapping | None:
    if not path.is_file():
        return None
    config = read_json(path)
    if not isinstance(config, Mapping):
        raise ValueError(f"{path}: must hold names and values in braces, not {str(config)[:80]!r}.")
    return config


def format_of(path: Path) -> str:
    """Format to write, from the suffix of a path."""
    if path.suffix in TORCH_SUFFIXES:
        return "torch"
    return "safetensors" if path.suffix == ".safetensors" else "orbax"


def open_writer(
    path: Path, chosen: str, specs: Mapping[str, TensorSpec], *, tensor_parallel: int
) -> Writer:
    """Writer of published tensors in a format other than Orbax."""
    if chosen == "torch":
        return TorchWriter(path, specs)
    if chosen == "safetensors":
        return SafetensorsWriter(path, specs)
    return LegacyWriter(path, specs, tensor_parallel)
