# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Low-rank updates in one file, the published format of the enhancer (`pytorch_model.bin`).

    pipe.dit.LAYER.lora_A.default.weight    (rank, inputs)
    pipe.dit.LAYER.lora_B.default.weight    (outputs, rank)
    pipe.dit.NAME                           replaces the model's own tensor NAME

LAYER and NAME are published names. The shapes give the rank; the file does not contain alpha.
"""

import collections
import re
from collections.abc import Mapping
from typing import Any

from mugv_jax.weights.adapter_table import fitting_factors, lora_config, updated_layers
from mugv_jax.weights.lora import Adapter, Overrides
from mugv_jax.weights.parameters import LazyTensor, parameters_of
from mugv_jax.weights.registry import Model
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import Rule, Shapes, Table

FILE = "pytorch_model.bin"
PREFIX = "pipe.dit."
NAMES = PREFIX + "{}.lora_{}.default.weight"
PUBLISHED_RANK, PUBLISHED_ALPHA = 256, 4.0
_FACTOR = re.compile(re.escape(PREFIX) + r"(.+)\.lora_([AB])\.default\.weight")


def read_pipe_adapter(
    source: Source, model: Model, config: Any, *, alpha: float | None = None
) -> Adapter:
    """Adapter that `source` holds, for a model with these sizes.

    If one layer of a stack has an update, every layer of that stack must have one.

    alpha: alpha of the updates; None only for the published rank, whose alpha is known.

    Raises:
        ValueError: no adapter, an adapter that does not fit the model (all differences are
            listed), or an unknown alpha.
    """
    found = source.shapes
    ranks = _ranks(found)
    if not ranks:
        raise ValueError(
            f"{source.path}: no LoRA adapter: must hold {NAMES.format('LAYER', 'A')} and lora_B; "
            f"found {', '.join(list(found)[:3]) or 'nothing'}{' ...' * (len(found) > 3)}."
        )
    rank = ranks.most_common(1)[0][0]
    table = model.table(config)
    updated = {match[1] for match in map(_FACTOR.fullmatch, found) if match}
    layers, homes = updated_layers(table, updated), _homes(found, table)
    problems = []
    if len(ranks) > 1:
        counted = ", ".join(f"{each} of {count} tensors" for each, count in ranks.most_common())
        problems.append(f"all layers must have one rank, found {counted}")
    own = {name: name.removeprefix(PREFIX) for name in homes}
    factors = fitting_factors(source, model, config, NAMES, layers, rank, *problems, own=own)
    lora = lora_config(rank, _alpha(source, rank, alpha), factors)
    return Adapter(lora, factors, _overrides(source, table, homes))


def _ranks(found: Shapes) -> collections.Counter[int]:
    """Number of factors by rank."""
    factors = ((_FACTOR.fullmatch(name), shape) for name, shape in found.items())
    return collections.Counter(
        shape["AB".index(match[2])] for match, shape in factors if match and len(shape) == 2
    )


def _alpha(source: Source, rank: int, alpha: float | None) -> float:
    if alpha is not None:
        return alpha
    if rank == PUBLISHED_RANK:
        return PUBLISHED_ALPHA
    raise ValueError(
        f"{source.path}: has rank {rank}, and such a file does not tell alpha, which is known of "
        f"the published rank {PUBLISHED_RANK} only; give it with --lora-alpha, or alpha= in Python."
    )


def _homes(found: Shapes, table: Table) -> dict[str, tuple[Rule, int]]:
    """Rule and layer of the model's own tensor, by the name of the tensor that replaces it."""
    return {
        PREFIX + name: (rule, layer)
        for rule in table.rules
        for layer, name in enumerate(table.names(rule))
        if PREFIX + name in found
    }


def _overrides(source: Source, table: Table, homes: Mapping[str, tuple[Rule, int]]) -> Overrides:
    rules = tuple(Rule(name, name, rule.axes) for name, (rule, _) in homes.items())
    lazies = parameters_of(source, Table(rules, sizes=table.sizes))
    overrides: dict[str, dict[int, LazyTensor]] = {}
    for name, (rule, layer) in homes.items():
        overrides.setdefault(rule.path, {})[layer] = lazies[name]
    return overrides
