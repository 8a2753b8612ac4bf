# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Denoisers made of plain functions instead of networks."""

import dataclasses
from collections.abc import Callable
from typing import Any

from mugv_jax.flow.denoiser import Denoiser


@dataclasses.dataclass(frozen=True)
class FunctionDenoiser(Denoiser[Any]):
    """`function(variables, x, t, condition)` as velocity; `first` likewise as first input."""

    dit: Any = None
    function: Callable[..., Any] | None = None
    first: Callable[..., Any] | None = None

    def velocity(self, variables, x, t, condition):
        return self.function(variables, x, t, condition)

    def condition(self, batch):
        return batch

    def first_input(self, variables, x, t, condition):
        return self.first(variables, x, t, condition)

    def abstract_condition(self, mesh, *, rows, latent_shape, text_tokens):
        raise NotImplementedError


def denoiser(function, first=None):
    return FunctionDenoiser(function=function, first=first)
