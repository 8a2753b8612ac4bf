# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Legacy Megatron checkpoints: one torch file per tensor-parallel rank.

latest_checkpointed_iteration.txt
iter_0000001/mp_rank_00/model_optim_rng.pt      {"model": {name: tensor}}
iter_0000001/mp_rank_01/...
"""

from collections.abc import Mapping
from pathlib import Path

import einops
import numpy as np

from mugv_jax.weights.megatron import from_megatron, from_published
from mugv_jax.weights.sources import Source, TensorSpec, Writer
from mugv_jax.weights.torch_files import REOPEN_AFTER_BYTES, TorchSource, TorchWriter

TRACKER = "latest_checkpointed_iteration.txt"
RANK_FILE = "model_optim_rng.pt"
HEAD_NORM = "blocks.0.attn.q_norm.weight"


class LegacySource(Source):
    """Checkpoint of one iteration, with its ranks joined, under the trainer's names.

    Raises:
        ValueError: pipeline-parallel ranks, missing ranks, or ranks that do not fit together.
    """

    format = "megatron"

    def __init__(self, path: Path):
        self.path = path
        folders = sorted(folder for folder in path.iterdir() if folder.name.startswith("mp_rank_"))
        expected = [f"mp_rank_{rank:02d}" for rank in range(len(folders))]
        if [folder.name for folder in folders] != expected:
            raise ValueError(
                f"{path}: holds {', '.join(folder.name for folder in folders)}; must hold "
                f"{expected[0]} to {expected[-1]}: tensor parallelism only, every rank."
            )
        absent = [folder.name for folder in folders if not (folder / RANK_FILE).is_file()]
        if absent:
            raise ValueError(f"{path}: no {RANK_FILE} in {', '.join(absent)}; fetch it.")
        self._share = REOPEN_AFTER_BYTES // len(folders)
        self.parts = [TorchSource(f / RANK_FILE, mapped_bytes=self._share) for f in folders]
        names = [set(rank.specs) for rank in self.parts]
        uneven = sorted(set.union(*names) - set.intersection(*names))
        if uneven:
            raise ValueError(f"{path}: some ranks lack {', '.join(uneven)}.")
        self.specs = {name: self._whole(name) for name in self.parts[0].specs}

    def _whole(self, name: str) -> TensorSpec:
        parts = [rank.specs[name] for rank in self.parts]
        if any(part != parts[0] for part in parts):
            raise ValueError(f"{self.path}: {name} differs in shape or dtype between ranks.")
        axis = from_megatron(name).split
        shape = list(parts[0].shape)
        if axis is not None:
            shape[axis] *= len(parts)
        return TensorSpec(tuple(shape), parts[0].dtype)

    def read(self, name: str) -> np.ndarray:
        """One tensor, joined from the parts of all ranks.

        Raises:
            ValueError: ranks that disagree on a tensor that each holds whole.
        """
        axis = from_megatron(name).split
        if axis is not None:
            return np.concatenate([rank.read(name) for rank in self.parts], axis)
        first = self.parts[0].read(name)
        for rank in self.parts[1:]:
            if not _same_bits(rank.read(name), first):
                raise ValueError(
                    f"{self.path}: the ranks hold different values of {name}, which each must "
                    "hold whole; the checkpoint is damaged or mixes iterations."
                )
            if first.nbytes > self._share:
                rank.release()  # or every rank would keep the pages of a large tensor
        return first


class LegacyWriter(Writer):
    """Writer from `dit.pt` names to a folder that the MUG-V trainer loads.

    Half precision is widened to float32, as in the published converter.

    Raises:
        ValueError: heads or MLP rows that cannot be divided over the ranks.
    """

    def __init__(self, path: Path, specs: Mapping[str, TensorSpec], tensor_parallel: int):
        self.specs = specs
        self._head_dim = specs[HEAD_NORM].shape[0]
        self._ranks = tensor_parallel
        entries = {name: from_published(name) for name in specs}
        parts = {entry.megatron: self._part(name) for name, entry in entries.items()}
        order = {}
        for entry in entries.values():
            order[entry.megatron] = None
            if entry.extra_state:
                order[f"{entry.megatron.rpartition('.')[0]}._extra_state"] = None
        iteration = path / "iter_0000001"
        files = [iteration / f"mp_rank_{rank:02d}" / RANK_FILE for rank in range(tensor_parallel)]
        for file in files:
            file.parent.mkdir(parents=True)
        writers: list[TorchWriter] = []
        self.parts = writers
        try:
            for file in files:
                writers.append(TorchWriter(file, parts, wrapper="model", order=order))
            (path / TRACKER).write_text("1")
        except BaseException:
            self.abandon()
            raise

    def _part(self, name: str) -> TensorSpec:
        spec, entry = self.specs[name], from_published(name)
        shape = list(spec.shape)
        if entry.split is not None:
            unit = self._head_dim * entry.fused if "attn" in name else 1
            if shape[entry.split] // unit % self._ranks:
                raise ValueError(
                    f"tensor_parallel={self._ranks} must divide the "
                    f"{shape[entry.split] // unit} {'heads' if 'attn' in name else 'MLP rows'} "
                    f"of {name}."
                )
            shape[entry.split] //= self._ranks
        return TensorSpec(tuple(shape), _widened(spec.dtype))

    def add(self, name: str, array: np.ndarray) -> None:
        entry = from_published(name)
        array = array.astype(_widened(array.dtype), copy=False)
        if entry.fused > 1:
            array = einops.rearrange(
                array, "(n a e) ... -> (a n e) ...", n=entry.fused, e=self._head_dim
            )
        whole = [array] * self._ranks
        parts = whole if entry.split is None else np.split(array, self._ranks, entry.split)
        for writer, part in zip(self.parts, parts):
            writer.add(entry.megatron, part)


def _widened(dtype: np.dtype) -> np.dtype:
    return np.dtype("float32") if str(dtype) in ("float16", "bfloat16") else dtype


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return np.array_equal(a.view(bits), b.view(bits))
