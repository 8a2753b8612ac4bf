# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The models that checkpoints are known of: sizes, module, table. One entry per model."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from jax.typing import DTypeLike

from mugv_jax.weights.table import Table
from mugv_jax.weights.tables import mugv_dit


@dataclasses.dataclass(frozen=True)
class Model:
    """What generic code needs to know of one model.

    build: (config, dtype) -> module.  inputs: config -> abstract arguments of `module.init`.
    infer_config: shapes of a published checkpoint -> config.
    config_from_published: constructor arguments as golden cases hold them -> config.
    """

    kind: str
    config_class: type
    build: Callable[[Any, DTypeLike], nn.Module]
    inputs: Callable[[Any], tuple]
    table: Callable[[Any], Table]
    infer_config: Callable[[Mapping[str, tuple[int, ...]]], Any]
    config_from_published: Callable[[Mapping], Any]
