# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Low-rank updates in the files of the `peft` library.

    adapter_config.json          rank, alpha, names of the layers
    adapter_model.safetensors    base_model.model.LAYER.lora_A.weight  (rank, inputs)
                                 base_model.model.LAYER.lora_B.weight  (outputs, rank)

LAYER is published, such as `blocks.0.attn.qkv`. A published weight is B A, so the rows of B and the
columns of A are laid out as its own, and the weight's rule in the table tells where they go.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flax import traverse_util

from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.lora import LoraConfig, abstract_lora
from mugv_jax.weights.check import check, differences, identify
from mugv_jax.weights.lora import Adapter, factors_of, merged
from mugv_jax.weights.models import MODELS, Model, abstract_variables
from mugv_jax.weights.parameter_source import ParameterSource, TableSource, narrower_dtypes
from mugv_jax.weights.parameters import parameters_of, published_shapes
from mugv_jax.weights.safetensors_files import SafetensorsSource, SafetensorsWriter
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import LAYER, Rule, Table

CONFIG_FILE = "adapter_config.json"
MODEL_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_NAME = re.compile(re.escape(_PREFIX) + r"(.+)\.lora_[AB]\.weight")
# Variants of peft that are another function than W + (alpha / rank) B A.
_VARIANTS = (
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "use_dora",
    "use_rslora",
)


def adapter_table(table: Table, layers: Iterable[str]) -> Table:
    """Where an adapter's tensors go: "lora/LAYER/a" and "/b" for each of `layers`.

    Raises:
        ValueError: a layer that is not a linear one.
    """
    of_path = {rule.path: rule for rule in table.rules}
    rules = tuple(
        rule for layer in layers for rule in _factor_rules(of_path[f"params/{layer}/kernel"])
    )
    return dataclasses.replace(table, rules=rules, unused={}, optional={})


def _factor_rules(rule: Rule) -> tuple[Rule, Rule]:
    """For "o i -> i o": A "rank i -> i rank", B "o rank -> rank o"."""
    layer = rule.path.removeprefix("params/").removesuffix("/kernel")
    left, right = (re.findall(r"\([^)]*\)|\w+", side) for side in rule.axes.split("->"))
    if len(left) != 2:
        raise ValueError(f"low-rank updates are for linear layers; {layer} is a convolution.")
    out, into = left
    ours_out = " ".join(axis for axis in right if _axes(axis) <= _axes(out))
    ours_into = " ".join(axis for axis in right if _axes(axis) <= _axes(into))
    name = f"{_PREFIX}{rule.name.removesuffix('.weight')}"
    return (
        Rule(f"{name}.lora_A.weight", f"lora/{layer}/a", f"rank {into} -> {ours_into} rank"),
        Rule(f"{name}.lora_B.weight", f"lora/{layer}/b", f"{out} rank -> rank {ours_out}"),
    )


def _axes(pattern: str) -> set[str]:
    return set(re.findall(r"\w+", pattern))


def open_adapter(path: str | Path, model: Model, config: Any) -> Adapter:
    """The adapter that `peft` saved in the folder `path`, for a model of these sizes.

    Raises:
        ValueError: no adapter, another kind than plain LoRA, or one of another model.
    """
    folder = Path(path).expanduser()
    folder = folder.parent if folder.name == MODEL_FILE else folder
    for name in (CONFIG_FILE, MODEL_FILE):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no LoRA adapter of peft, which has a file {name}.")
    rank, alpha = _read_config(folder / CONFIG_FILE)
    source = SafetensorsSource(folder / MODEL_FILE)
    layers = _layers(source, model.table(config))
    lora = LoraConfig(rank=rank, alpha=alpha, targets=tuple(f"^{layer}$" for layer in layers))
    table = adapter_table(model.table(config), layers)
    abstract = unboxed(abstract_lora(abstract_variables(model.kind, config)["params"], lora))
    shapes = {
        f"lora/{name}": leaf.shape
        for name, leaf in traverse_util.flatten_dict(abstract, sep="/").items()
    }
    problems = differences(
        {name: spec.shape for name, spec in source.specs.items()}, published_shapes(table, shapes)
    )
    if problems:
        raise ValueError(f"{folder}: does not fit {model.kind} with {config}; {problems}.")
    flat = parameters_of(source, table)
    factors = factors_of({name.removeprefix("lora/"): lazy for name, lazy in flat.items()})
    return Adapter(lora, factors)


def _read_config(path: Path) -> tuple[int, float]:
    """(rank, alpha) of a plain LoRA."""
    try:
        stated = json.loads(path.read_text())
        kind, rank, alpha = stated["peft_type"], int(stated["r"]), float(stated["lora_alpha"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not the configuration of a LoRA adapter ({error!r}).") from error
    variants = [name for name in _VARIANTS if stated.get(name)]
    if stated.get("bias", "none") != "none":
        variants.append("bias")
    if kind != "LORA" or variants:
        what = ", ".join(f"{name}={stated[name]!r}" for name in variants) or f"peft_type={kind!r}"
        raise ValueError(
            f"{path}: {what} is not supported: only a plain LoRA is, W + (alpha / rank) B A."
        )
    return rank, alpha


def _layers(source: SafetensorsSource, table: Table) -> list[str]:
    """Paths of the layers that the file has factors for, in the order of the table."""
    of_name = {
        name.removesuffix(".weight"): rule.path.removeprefix("params/").removesuffix("/kernel")
        for rule in table.rules
        for name in table.names(rule)
        if rule.path.endswith("/kernel")
    }
    found = {name: _NAME.fullmatch(name) for name in source.specs}
    odd = [name for name, match in found.items() if not match or match[1] not in of_name]
    if odd or not found:
        raise ValueError(
            f"{source.path}: must hold {_PREFIX}LAYER.lora_A.weight and lora_B of layers of this "
            f"model; found {', '.join(odd) or 'nothing'}."
        )
    layers = {of_name[match[1]] for match in found.values() if match}
    return [layer for layer in dict.fromkeys(of_name.values()) if layer in layers]


def with_adapter(source: Source, lora: str | Path, kind: str | None = None) -> Source:
    """`source` with the low-rank updates that `peft` saved in the folder `lora` merged in.

    Raises:
        ValueError: no adapter, or one of another model.
    """
    model, config = identify(source, kind)
    parameters = check(source, model, config)
    adapter = open_adapter(lora, model, config)
    dtypes = narrower_dtypes(source, parameters, model.table(config))
    parameters = merged(parameters, adapter.factors, adapter.lora.scale)
    return ParameterSource(source.path, source.format, model.kind, config, parameters, dtypes)


def write_adapter(folder: Path, adapter: Adapter, kind: str, config: Any) -> None:
    """Write an adapter as `peft` does, under published names; `folder` must not exist yet."""
    table = adapter_table(MODELS[kind].table(config), adapter.factors)
    parameters = {}
    for layer, (a, b) in adapter.factors.items():
        parameters |= {f"lora/{layer}/a": a, f"lora/{layer}/b": b}
    source = TableSource(folder, "peft", table, parameters)
    folder.mkdir()
    with SafetensorsWriter(folder / MODEL_FILE, source.specs) as writer:
        for name in source.specs:
            writer.add(name, source.read(name))
    names = [rule.name for rule in table.rules if rule.path.endswith("/a")]
    stated = {
        "peft_type": "LORA",
        "r": adapter.lora.rank,
        "lora_alpha": adapter.lora.alpha,
        "target_modules": [_target(name) for name in names],
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "base_model_name_or_path": None,
        "task_type": None,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(stated, indent=2) + "\n")


def _target(name: str) -> str:
    """What peft finds all layers of a rule by: "attn.qkv" ends the names of that of every block."""
    module = name.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
    return module.partition(f"{LAYER}.")[2] or module
