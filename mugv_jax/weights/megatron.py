# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Mapping between names and row orders of the MUG-V Megatron trainer and those of `dit.pt`.

The trainer renames modules, orders the rows of a fused projection by head first, (head n c)
instead of (n head c), and splits large weights over its tensor-parallel ranks.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path

import einops
import numpy as np

from mugv_jax.weights.sources import Source, TensorSpec

ROWS, COLUMNS = 0, 1


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor under both names; `{layer}` stands for the layer's number.

    fused: number of projections that its rows contain (3 for q, k, v).
    split: axis divided over the tensor-parallel ranks; None if every rank holds the whole tensor.
    extra_state: whether the trainer's module keeps an (empty) "_extra_state" beside the tensor.
    """

    published: str
    megatron: str
    fused: int = 1
    split: int | None = None
    extra_state: bool = False


def _linear(published: str, megatron: str, split: int, fused: int = 1) -> tuple[Entry, Entry]:
    published, megatron = f"blocks.{{layer}}.{published}", f"decoder.layers.{{layer}}.{megatron}"
    bias_split = ROWS if split == ROWS else None
    return (
        Entry(f"{published}.weight", f"{megatron}.weight", fused, split, extra_state=True),
        Entry(f"{published}.bias", f"{megatron}.bias", fused, bias_split, extra_state=True),
    )


ENTRIES = (
    *_linear("attn.qkv", "self_attention.linear_qkv", ROWS, fused=3),
    *_linear("attn.proj", "self_attention.linear_proj", COLUMNS),
    *_linear("cross_attn.q_linear", "cross_attention.linear_q", ROWS),
    *_linear("cross_attn.kv_linear", "cross_attention.linear_kv", ROWS, fused=2),
    *_linear("cross_attn.proj", "cross_attention.linear_proj", COLUMNS),
    *_linear("mlp.fc1", "mlp.linear_fc1", ROWS),
    *_linear("mlp.fc2", "mlp.linear_fc2", COLUMNS),
    *(
        Entry(f"blocks.{{layer}}.{published}", f"decoder.layers.{{layer}}.{megatron}")
        for published, megatron in (
            ("attn.q_norm.weight", "self_attention.q_layernorm.weight"),
            ("attn.k_norm.weight", "self_attention.k_layernorm.weight"),
            ("cross_attn.q_norm.weight", "cross_attention.q_layernorm.weight"),
            ("cross_attn.k_norm.weight", "cross_attention.k_layernorm.weight"),
            ("cross_attn_norm.weight", "pre_cross_attn_layernorm.weight"),
            ("cross_attn_norm.bias", "pre_cross_attn_layernorm.bias"),
        )
    ),
    *(
        Entry(f"{ours}.scale_shift_table", f"{theirs}.scale_shift_table.bias", extra_state=True)
        for ours, theirs in (
            ("blocks.{layer}", "decoder.layers.{layer}"),
            ("final_layer", "final_layer"),
        )
    ),
    Entry("y_embedder.y_embedding", "context_embedder.drop_emb"),
    *(
        Entry(f"{published}.{leaf}", f"{megatron}.{leaf}")
        for published, megatron in (
            ("t_embedder.mlp.0", "timestep_embedder.mlp.0"),
            ("t_embedder.mlp.2", "timestep_embedder.mlp.2"),
            ("t_block.1", "timestep_block.1"),
            ("y_embedder.y_proj.fc1", "context_embedder.proj.fc1"),
            ("y_embedder.y_proj.fc2", "context_embedder.proj.fc2"),
        )
        for leaf in ("weight", "bias")
    ),
)
_LAYER = re.compile(r"^(blocks|decoder\.layers)\.(\d+)\.")
# Name by which a checkpoint of the trainer is recognised.
HEAD_NORM = "decoder.layers.0.self_attention.q_layernorm.weight"


def _lookup(entries: Mapping[str, Entry], name: str) -> Entry:
    """Entry of a name, with its layer filled in; an unknown name stays the same."""
    layer = _LAYER.match(name)
    entry = entries.get(_LAYER.sub(r"\1.{layer}.", name))
    if entry is None:
        return Entry(name, name)
    if layer is None:
        return entry
    return dataclasses.replace(
        entry,
        published=entry.published.replace("{layer}", layer[2]),
        megatron=entry.megatron.replace("{layer}", layer[2]),
    )


# Entry of a name of `dit.pt`, and of a name of the trainer.
from_published = functools.partial(_lookup, {entry.published: entry for entry in ENTRIES})
from_megatron = functools.partial(_lookup, {entry.megatron: entry for entry in ENTRIES})


class MegatronNames(Source):
    """Checkpoint of the trainer under `dit.pt` names; `source` has one whole tensor per layer."""

    def __init__(self, source: Source, path: Path):
        self.path, self.format = path, source.format
        self._source, self.parts = source, (source,)
        head_norm = source.specs.get(HEAD_NORM)
        if head_norm is None:
            raise ValueError(
                f"{path}: no {HEAD_NORM} among its {len(source.specs)} tensors: not a MUG-V "
                "checkpoint of the Megatron trainer."
            )
        self._head_dim = head_norm.shape[0]
        self._entries = {
            entry.published: entry
            for entry in map(from_megatron, source.specs)
            if not entry.megatron.endswith("_extra_state")
        }
        self.specs: dict[str, TensorSpec] = {
            name: source.specs[entry.megatron] for name, entry in self._entries.items()
        }

    def read(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        array = self._source.read(entry.megatron)
        if entry.fused == 1:
            return array
        return einops.rearrange(
            array, "(a n e) ... -> (n a e) ...", n=entry.fused, e=self._head_dim
        )
