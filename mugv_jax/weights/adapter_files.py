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

from mugv_jax.weights import pipe_lora
from mugv_jax.weights.adapter_table import (
    adapter_table,
    fitting_factors,
    linear_layers,
    lora_config,
    updated_layers,
)
from mugv_jax.weights.check import check, identify
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.lora import Adapter, adapted
from mugv_jax.weights.parameter_source import ParameterSource, narrower_dtypes
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
    rank, alpha = _read_config(path / CONFIG_FILE)
    source = SafetensorsSource(path / MODEL_FILE)
    layers = _layers(source, model.table(config))
    factors = fitting_factors(source, model, config, _NAMES, layers, rank)
    return Adapter(lora_config(rank, alpha, factors), factors)


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
    known = linear_layers(table)
    found = {name: _NAME.fullmatch(name) for name in source.specs}
    odd = [name for name, match in found.items() if not match or match[1] not in known]
    if odd or not found:
        raise ValueError(
            f"{source.path}: must hold {_PREFIX}LAYER.lora_A.weight and lora_B of linear "
            f"layers of this model; found {', '.join(odd) or 'nothing'}."
        )
    return updated_layers(table, {match[1] for match in found.values() if match})


def with_adapter(
    source: Source, lora: str | Path, kind: str | None, *, alpha: float | None
) -> Source:
    """`source` with the adapter at `lora` merged in; see `open_adapter`."""
    model, config = identify(source, kind)
    parameters = check(source, model, config)
    dtypes = narrower_dtypes(source, parameters, model.table(config))
    parameters = adapted(parameters, open_adapter(lora, model, config, alpha=alpha))
    return ParameterSource(source.path, source.format, model.kind, config, parameters, dtypes)


def write_adapter(folder: Path, adapter: Adapter, kind: str, config: Any) -> None:
    """Writes an adapter in the format of `peft`; `folder` must not exist yet."""
    assert not adapter.overrides, "files of peft have no place for them"
    table = adapter_table(MODELS[kind].table(config), adapter.factors, _NAMES)
    parameters = {}
    for layer, (a, b) in adapter.factors.items():
        parameters |= {f"lora/{layer}/a": a, f"lora/{layer}/b": b}
    source = ParameterSource(folder, "peft", kind, config, parameters, table=table)
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
