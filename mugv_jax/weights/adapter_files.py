# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files of low-rank updates: adapters of the `peft` library, and the format of `pipe_lora.py`.

    adapter_config.json          rank, alpha, names of the layers
    adapter_model.safetensors    base_model.model.LAYER.lora_A.weight  (rank, inputs)
                                 base_model.model.LAYER.lora_B.weight  (outputs, rank)

LAYER is a published name, such as `blocks.0.attn.qkv`.
"""

import json
import re
from pathlib import Path
from typing import Any

from mugv_jax.nn.lora import LoraConfig
from mugv_jax.weights import pipe_lora
from mugv_jax.weights.adapter_table import (
    adapter_table,
    factor_shapes,
    layer_names,
    layer_of,
    read_factors,
)
from mugv_jax.weights.check import check, differences, identify, variable_shapes
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.lora import Adapter, adapted
from mugv_jax.weights.parameter_source import ParameterSource, TableSource, narrower_dtypes
from mugv_jax.weights.parameters import published_shapes
from mugv_jax.weights.registry import MODELS, Model
from mugv_jax.weights.safetensors_files import SafetensorsSource, SafetensorsWriter
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import LAYER, Table

CONFIG_FILE = "adapter_config.json"
MODEL_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_NAMES = _PREFIX + "{}.lora_{}.weight"
_NAME = re.compile(re.escape(_PREFIX) + r"(.+)\.lora_[AB]\.weight")
# Options of peft that make the function other than W + (alpha / rank) B A.
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


def open_adapter(
    path: str | Path, model: Model, config: Any, *, alpha: float | None = None
) -> Adapter:
    """Opens the adapter at `path` for a model with these sizes.

    path: a folder saved by `peft`, a file in the format of `pipe_lora.py`, or its folder.
    alpha: alpha of the updates, if the file does not state it.

    Raises:
        ValueError: no adapter, a variant other than plain LoRA, an adapter of another model, or an
            alpha that is missing, or given although the file states it.
    """
    path = Path(path).expanduser()
    if path.name == MODEL_FILE:
        path = path.parent
    elif not (path / CONFIG_FILE).is_file() and (path / pipe_lora.FILE).is_file():
        path = path / pipe_lora.FILE
    if path.is_file():
        return pipe_lora.read_pipe_adapter(open_source(path), model, config, alpha=alpha)
    for name in (CONFIG_FILE, MODEL_FILE):
        if not (path / name).is_file():
            raise ValueError(
                f"{path}: no LoRA adapter of peft, which has a file {name}, nor a folder that "
                f"holds {pipe_lora.FILE}."
            )
    if alpha is not None:
        raise ValueError(
            f"{path}: alpha={alpha} is given, but {CONFIG_FILE} tells it; leave it out."
        )
    return _read_peft(path, model, config)


def _read_peft(folder: Path, model: Model, config: Any) -> Adapter:
    rank, alpha = _read_config(folder / CONFIG_FILE)
    source = SafetensorsSource(folder / MODEL_FILE)
    table = model.table(config)
    layers = _layers(source, table)
    updates = adapter_table(table, layers, _NAMES)
    weights = published_shapes(table, variable_shapes(model, config))
    problems = differences(
        {name: spec.shape for name, spec in source.specs.items()},
        factor_shapes(table, layers, _NAMES, weights, rank),
    )
    if problems:
        raise ValueError(f"{folder}: does not fit {model.kind} with {config}; {problems}.")
    lora = LoraConfig(rank=rank, alpha=alpha, targets=tuple(f"^{layer}$" for layer in layers))
    return Adapter(lora, read_factors(source, updates))


def _read_config(path: Path) -> tuple[int, float]:
    """Rank and alpha of a plain LoRA."""
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
    """Paths of the layers that the file has factors for, in table order."""
    of_name = {name: layer_of(rule) for name, rule in layer_names(table).items()}
    found = {name: _NAME.fullmatch(name) for name in source.specs}
    odd = [name for name, match in found.items() if not match or match[1] not in of_name]
    if odd or not found:
        raise ValueError(
            f"{source.path}: must hold {_PREFIX}LAYER.lora_A.weight and lora_B of layers of this "
            f"model; found {', '.join(odd) or 'nothing'}."
        )
    layers = {of_name[match[1]] for match in found.values() if match}
    return [layer for layer in dict.fromkeys(of_name.values()) if layer in layers]


def with_adapter(
    source: Source,
    lora: str | Path,
    kind: str | None = None,
    *,
    alpha: float | None = None,
    scale: float = 1.0,
) -> Source:
    """`source` with the adapter at `lora` merged in; see `open_adapter` and `adapted`.

    Raises:
        ValueError: no adapter, or one of another model.
    """
    model, config = identify(source, kind)
    parameters = check(source, model, config)
    dtypes = narrower_dtypes(source, parameters, model.table(config))
    adapter = open_adapter(lora, model, config, alpha=alpha)
    parameters = adapted(parameters, adapter, scale=scale)
    return ParameterSource(source.path, source.format, model.kind, config, parameters, dtypes)


def write_adapter(folder: Path, adapter: Adapter, kind: str, config: Any) -> None:
    """Writes an adapter in the format of `peft`; `folder` must not exist yet."""
    assert not adapter.overrides, "files of peft have no place for them"
    table = adapter_table(MODELS[kind].table(config), adapter.factors, _NAMES)
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
    """Suffix by which peft selects the layers of a rule, such as "attn.qkv" in every block."""
    module = name.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
    return module.partition(f"{LAYER}.")[2] or module
