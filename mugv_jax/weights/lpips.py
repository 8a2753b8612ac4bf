# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of LPIPS from local files: VGG16, and the linear weights of its features.

`torchvision` names VGG16's convolutions `features.N`. A saved module of the `lpips` package names
them `net.sliceS.N`, with the same N, and the linear weights `linS.model.1`; the package also ships
the linear weights in a file of their own.
"""

import contextlib
import re
from typing import Any

import numpy as np
from flax import traverse_util

from mugv_jax.files import user_path
from mugv_jax.nn.lpips import STAGES
from mugv_jax.weights.check import require_same
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.parameters import to_ours
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import Rule, Table
from mugv_jax.weights.tables.layers import CONV_2D

COLOURS = 3
# VGG16's classifier, and second names of the linear weights and constants in the package.
UNREAD = ("classifier.", "lins.", "scaling_layer.")


def load_lpips(files: str) -> dict[str, Any]:
    """Parameters of `nn.lpips.Lpips`, float32.

    files: one file with everything, or VGG16 and the linear weights separated by a comma;
        `.pt`, `.pth` or `.safetensors`.

    Raises:
        ValueError: missing files or other weights; the message lists all differences.
    """
    shapes = _shapes()
    with contextlib.ExitStack() as opened:
        found: dict[str, tuple[Source, str]] = {}
        for file in files.split(","):
            source = opened.enter_context(open_source(user_path(file.strip())))
            for name in source.specs:
                if name.startswith(UNREAD):
                    continue
                known = re.sub(r"^net\.slice\d\.", "features.", name)
                if known in found:
                    raise ValueError(f"{files}: holds {known} twice; give one file of each.")
                found[known] = source, name
        require_same(
            {known: source.specs[name].shape for known, (source, name) in found.items()},
            {rule.name: shape for rule, shape in shapes.items()},
            f"{files}: must be VGG16 and the linear weights of LPIPS v0.1, in one file or in two "
            "with a comma between them",
        )
        params = {}
        for rule in shapes:
            source, name = found[rule.name]
            # A copy, because a tensor that was read may be a view of the file.
            params[rule.path] = to_ours(rule, Table(()), np.array(source.read(name), np.float32))
    return traverse_util.unflatten_dict(params, sep="/")


def _shapes() -> dict[Rule, tuple[int, ...]]:
    """Published shape of every parameter, by its rule."""
    shapes: dict[Rule, tuple[int, ...]] = {}
    before, number = COLOURS, 0
    for stage, widths in enumerate(STAGES):
        for i, width in enumerate(widths):
            name, path = f"features.{number}", f"vgg/stage_{stage}_conv_{i}"
            kernel = Rule(f"{name}.weight", f"{path}/kernel", CONV_2D)
            shapes[kernel] = (width, before, 3, 3)
            shapes[Rule(f"{name}.bias", f"{path}/bias")] = (width,)
            before, number = width, number + 2  # its ReLU has a number too
        number += 1  # so has the pooling
        linear = Rule(f"lin{stage}.model.1.weight", f"linear_{stage}", "1 c 1 1 -> c")
        shapes[linear] = (1, before, 1, 1)
    return shapes
