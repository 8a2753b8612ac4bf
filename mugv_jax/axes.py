# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The axis alphabet: one letter per axis in annotations, einsum, einops and prose.

    b batch      f h w frames, rows, columns      c channels      n video tokens    s text tokens
    d width      a heads      e head dim          m MLP width

Logical axis names are what `nn/` writes on parameters and activations; `sharding/rules.py` maps
them to the axes of a mesh. Nothing else knows both.
"""

import numpy as np
from jaxtyping import Array, Bool, Float, Int

LOGICAL_AXES = (
    "batch",  # samples
    "frames",  # per-frame work with time folded into the batch
    "rows",  # picture rows in the temporal VAE
    "tokens",  # video tokens
    "residual_tokens",  # video tokens between the parts of a block, where heads are not split
    "embed",  # width of a weight; an activation's width stays unnamed
    "heads",
    "head_dim",
    "qkv",  # the 3 of a fused query-key-value projection, the 2 of key-value
    "mlp",
    "layers",  # the scanned axis; a pipeline cuts it into stages
    "vocab",
    "modulation",  # shift, scale, gate vectors
    "conv_in",
    "conv_out",
)

Latent = Float[Array, "b f h w c"]
# Sizes in pixels differ from f, h and w of a latent in the same signature: hence the underscores.
Pixels = Float[Array, "b _f _h _w 3"]
Frames = np.ndarray  # uint8, (frames, height, width, 3)
TextStates = Float[Array, "b s d"]
TextMask = Bool[Array, "b s"]

__all__ = [
    "LOGICAL_AXES",
    "Array",
    "Bool",
    "Float",
    "Frames",
    "Int",
    "Latent",
    "Pixels",
    "TextMask",
    "TextStates",
]
