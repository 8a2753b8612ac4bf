# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Names of open_clip's files as those of transformers, so that the tables of CLIP read both.

open_clip joins q, k and v of a layer to one tensor and stores projections transposed.
"""

import re

import numpy as np

from mugv_jax.weights.sources import Source, TensorSpec

MARK = "visual.conv1.weight"  # every file of open_clip's vision transformers has it
_NAMES = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    MARK: "vision_model.embeddings.patch_embedding.weight",
    "visual.proj": "visual_projection.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "text_projection": "text_projection.weight",
}
_MODULES = {
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
    "ln_final": "text_model.final_layer_norm",
}
_IN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TRANSPOSED = ("visual.proj", "text_projection")
_LAYER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
_JOINED = re.compile(r"attn\.in_proj_(weight|bias)")
UNREAD = "attn_mask"  # a constant that some files hold


class OpenClipNames(Source):
    """`source` under the names of transformers; unknown tensors keep theirs."""

    def __init__(self, source: Source):
        self.path, self.format, self.config = source.path, source.format, source.config
        self.parts = (source,)
        self._source = source
        self._origin: dict[str, tuple[str, int | None]] = {}  # (name, part of q, k and v)
        self.specs = {}
        for name, spec in source.specs.items():
            if name == UNREAD:
                continue
            for part, known in _renamed(name):
                shape = spec.shape
                if part is not None:
                    shape = (shape[0] // 3, *shape[1:])
                elif name in _TRANSPOSED:
                    shape = shape[::-1]
                self.specs[known] = TensorSpec(shape, spec.dtype)
                self._origin[known] = name, part

    def read(self, name: str) -> np.ndarray:
        origin, part = self._origin[name]
        array = self._source.read(origin)
        if part is not None:
            return np.split(array, 3)[part]
        return array.T if origin in _TRANSPOSED else array


def _renamed(name: str) -> list[tuple[int | None, str]]:
    """Names of transformers for one tensor, each with its part of q, k and v."""
    layer = _LAYER.fullmatch(name)
    if layer is None:
        module, _, leaf = name.rpartition(".")
        known = _NAMES.get(name) or (f"{_MODULES[module]}.{leaf}" if module in _MODULES else name)
        return [(None, known)]
    side, number, inner = layer.groups()
    prefix = f"{'vision' if side else 'text'}_model.encoder.layers.{number}"
    joined = _JOINED.fullmatch(inner)
    if joined:
        leaf = joined[1]
        return [(i, f"{prefix}.self_attn.{x}_proj.{leaf}") for i, x in enumerate("qkv")]
    module, _, leaf = inner.rpartition(".")
    return [(None, f"{prefix}.{_IN_LAYER.get(module, module)}.{leaf}")]
