# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files of low-rank updates: of peft, diffusers, ComfyUI, kohya and musubi, and of the enhancer.

    adapter_config.json          rank, alpha, names of the layers (peft)
    adapter_model.safetensors    or any .safetensors or .bin file; `adapter_names.py` has the names

alpha is taken from the file's own tensors, from the options beside it or in its header, or from
the caller. Files of diffusers and ComfyUI without any have alpha = rank, as those programs read
them; for all others alpha must be known.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.weights.adapter_names import Module, Names, resolve
from mugv_jax.weights.adapter_options import Options, options_in_header, read_options
from mugv_jax.weights.adapter_table import adapter_table, factors_in, lora_config
from mugv_jax.weights.adapter_updates import NAMES, Update, UpdateSource, rows_of_targets
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.formats import open_named
from mugv_jax.weights.lora import Adapter, Overrides
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import LazyTensor, parameters_of
from mugv_jax.weights.registry import MODELS, Model
from mugv_jax.weights.safetensors_files import SafetensorsWriter
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import LAYER, Rule, Table

CONFIG_FILE = "adapter_config.json"
MODEL_FILE = "adapter_model.safetensors"
PEFT_FILES = (MODEL_FILE, "adapter_model.bin")
# Files of adapters in a folder, in the order in which they are looked for.
FOLDER_FILES = (
    *PEFT_FILES,
    "pytorch_lora_weights.safetensors",
    "pytorch_lora_weights.bin",
    "pytorch_model.bin",
)
PEFT_PREFIX, ENHANCER_PREFIX = "base_model.model.", "pipe.dit."
ENHANCER_RANK, ENHANCER_ALPHA = 256, 4.0  # of the published file, which states no alpha
SHOWN = 4  # names in a message


def find_file(path: Path) -> Path:
    """File of low-rank updates that `path` is, or that the folder `path` holds.

    Raises:
        ValueError: nothing there, or several files of which none has a usual name.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(
            f"{path}: no LoRA adapter: there is no such file or folder (a scale is written as "
            "PATH:NUMBER)."
        )
    named = [path / name for name in FOLDER_FILES if (path / name).is_file()]
    others = sorted(path.glob("*.safetensors"))
    if not named and len(others) != 1:
        found = f"{len(others)} .safetensors files" if others else "none of these"
        raise ValueError(
            f"{path}: no LoRA adapter of peft, nor a folder that holds "
            f"{', '.join(FOLDER_FILES)} or one .safetensors file: it has {found}. Name the file "
            "itself, or a training run with LoRA."
        )
    return (named or others)[0]


def read_adapter(
    source: Source,
    model: Model,
    config: Any,
    *,
    alpha: float | None = None,
    options: Options | None = None,
    among_others: bool = False,
) -> Adapter:
    """Adapter that `source` holds, for a model with these sizes.

    alpha: alpha of all layers, if the file does not state it.
    options: rank and alpha as peft states them, if the file has such options beside it.
    among_others: whether `alpha` may be of another adapter, and a stated one then holds.

    Raises:
        ValueError: no adapter, one of another model or of an unsupported form (all differences are
            counted and the first ones named), or an alpha that is missing or stated twice.
    """
    table, weights = model.table(config), published_shapes(model, config)
    names = resolve(source.specs, table, model.spellings, ENHANCER_PREFIX)
    if options is None:
        metadata = getattr(source, "metadata", {})
        options = options_in_header(source.path, metadata, names.prefix)
    _require_fit(source, names, weights, options, model.kind)
    scales = _scales(source, names, options, alpha, among_others=among_others)
    updates = [
        Update(
            module.targets, module.tensors["a"], module.tensors["b"], _rank(source, module), scale
        )
        for module, scale in zip(names.modules.values(), scales, strict=True)
    ]
    changed = UpdateSource(source, updates, table, weights)
    factors = factors_in(changed, adapter_table(table, changed.layers, NAMES))
    common = 1.0 if changed.scale is None else changed.scale
    lora = lora_config(changed.rank, common * changed.rank, factors)
    return Adapter(lora, factors, _overrides(source, table, names.whole))


def open_file(
    path: Path, model: Model, config: Any, *, alpha: float | None, among_others: bool
) -> Adapter:
    """Adapter in a file or folder; raises as `read_adapter` and `find_file` do."""
    file = find_file(path)
    stated = file.parent / CONFIG_FILE
    options = None
    if file.name in PEFT_FILES and stated.is_file():
        options = read_options(stated)
    elif file.name in PEFT_FILES and path.is_dir() and alpha is None:
        raise ValueError(
            f"{path}: has {file.name}, but not {CONFIG_FILE}, which tells alpha: fetch it, or give "
            "--lora-alpha, in Python lora_alpha."
        )
    return read_adapter(
        open_named(file), model, config, alpha=alpha, options=options, among_others=among_others
    )


def _rank(source: Source, module: Module) -> int:
    return source.specs[module.tensors["a"]].shape[0]


def _require_fit(
    source: Source,
    names: Names,
    weights: Mapping[str, tuple[int, ...]],
    options: Options | None,
    kind: str,
) -> None:
    """Raises a ValueError that counts all names and shapes that do not fit the model."""
    lacking, misshapen = [], []
    shapes = source.shapes
    for module in names.modules.values():
        if not module.targets:
            continue
        lacking += [f"{module.name} (no {role.upper()})" for role in "ab" if role not in
                    module.tensors]  # fmt: skip
        misshapen += _misshapen(module, shapes, weights, options)
    misshapen += [
        f"{name} is {shapes[name]}, must be {weights[own]}"
        for name, own in names.whole.items()
        if shapes[name] != weights[own]
    ]
    listed = (
        (names.unknown, "unknown"),
        (lacking, "without their partner"),
        (misshapen, "misshapen"),
    )
    problems = [f"{len(each)} {what}: {_some(each)}" for each, what in listed if each]
    if not names.modules:
        problems.append("no low-rank factors")
    if len(names.adapters) > 1:
        problems.append(f"several adapters: {_some(names.adapters)}; save one alone")
    if problems:
        linear = [name for name, shape in weights.items() if len(shape) == 2]
        layers = [name.removesuffix(".weight") for name in linear if name.endswith(".weight")]
        raise ValueError(
            f"{source.path}: no LoRA adapter that fits {kind}: of {len(shapes)} tensors, "
            f"{'; '.join(problems)}. Use an adapter of this model; names must be those of peft, "
            "diffusers, ComfyUI or kohya (lora_A and lora_B, or lora_down and lora_up) over its "
            f"layers, such as {layers[len(layers) // 2]}."
        )


def _misshapen(
    module: Module,
    shapes: Mapping[str, tuple[int, ...]],
    weights: Mapping[str, tuple[int, ...]],
    options: Options | None,
) -> list[str]:
    inputs = weights[f"{module.targets[0].layer}.weight"][1]
    outputs = sum(stop - start for start, stop in rows_of_targets(module.targets, weights))
    a = module.tensors.get("a")
    rank = shapes[a][0] if a is not None and len(shapes[a]) == 2 else "rank"
    if options is not None:
        rank = options.rank_of(module.name.removeprefix(PEFT_PREFIX))
    expected = {"a": (rank, inputs), "b": (outputs, rank)}
    found = [
        f"{name} is {shapes[name]}, must be ({', '.join(map(str, expected[role]))})"
        for role, name in module.tensors.items()
        if role in expected and (shapes[name] != expected[role] or not all(shapes[name]))
    ]
    alpha = module.tensors.get("alpha")
    if alpha is not None and math.prod(shapes[alpha]) != 1:
        found.append(f"{alpha} is {shapes[alpha]}, must be one number")
    return found


def _scales(
    source: Source,
    names: Names,
    options: Options | None,
    alpha: float | None,
    *,
    among_others: bool,
) -> list[float]:
    """alpha / rank of every module.

    Raises:
        ValueError: an alpha that is missing, stated twice, or no positive number.
    """
    modules = names.modules.values()
    stated = [module for module in modules if "alpha" in module.tensors]
    where = CONFIG_FILE if options is not None else f"{stated[0].name}.alpha" if stated else None
    if alpha is not None and where is not None and not among_others:
        raise ValueError(f"{source.path}: alpha={alpha} is given, but {where} tells it; leave it "
                         "out.")  # fmt: skip
    if stated and len(stated) < len(names.modules):
        without = [module.name for module in modules if "alpha" not in module.tensors]
        raise ValueError(
            f"{source.path}: {len(stated)} layers state alpha and {len(without)} do not: "
            f"{_some(without)}; save it again with alpha for all or none."
        )
    if stated:
        found = [float(source.read(each.tensors["alpha"]).reshape(())) for each in modules]
        bad = [f"{each.name}.alpha={value}" for each, value in zip(modules, found, strict=True)
               if not 0 < value < math.inf]  # fmt: skip
        if bad:
            raise ValueError(f"{source.path}: {_some(bad)}: alpha must be a positive number.")
        return [value / _rank(source, each) for each, value in zip(modules, found, strict=True)]
    if options is not None:
        return [options.scale_of(each.name.removeprefix(PEFT_PREFIX)) for each in modules]
    ranks = [_rank(source, module) for module in modules]
    return [_alpha(source, names, rank, ranks, alpha) / rank for rank in ranks]


def _alpha(
    source: Source, names: Names, rank: int, ranks: Sequence[int], alpha: float | None
) -> float:
    """Alpha of a layer of a file that states none."""
    if alpha is not None:
        return alpha
    if names.prefix == ENHANCER_PREFIX and set(ranks) == {ENHANCER_RANK}:
        return ENHANCER_ALPHA
    if names.prefix in (ENHANCER_PREFIX, PEFT_PREFIX) or names.adapters:
        raise ValueError(
            f"{source.path}: has rank {rank}, and such a file does not tell alpha, which is known "
            f"of the enhancer's published rank {ENHANCER_RANK} only; give it with --lora-alpha, or "
            "lora_alpha= in Python."
        )
    return float(rank)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _overrides(source: Source, table: Table, whole: Mapping[str, str]) -> Overrides:
    """Tensors of the file that replace the model's own, by parameter and layer."""
    homes = {
        name: (rule, layer) for rule in table.rules for layer, name in enumerate(table.names(rule))
    }
    rules = tuple(Rule(name, name, homes[own][0].axes) for name, own in whole.items())
    lazies = parameters_of(source, Table(rules, sizes=table.sizes))
    overrides: dict[str, dict[int, LazyTensor]] = {}
    for name, own in whole.items():
        rule, layer = homes[own]
        overrides.setdefault(rule.path, {})[layer] = lazies[name]
    return overrides


def write_adapter(folder: Path, adapter: Adapter, kind: str, config: Any) -> None:
    """Writes an adapter in the format of `peft`; `folder` must not exist yet."""
    assert not adapter.overrides, "files of peft have no place for them"
    names = PEFT_PREFIX + NAMES
    table = adapter_table(MODELS[kind].table(config), adapter.factors, names)
    parameters = {}
    for layer, (a, b) in adapter.factors.items():
        parameters |= {f"lora/{layer}/a": a, f"lora/{layer}/b": b}
    source = ParameterSource(folder, "peft", kind, config, parameters, table=table)
    folder.mkdir()
    with SafetensorsWriter(folder / MODEL_FILE, source.specs) as writer:
        for name in source.specs:
            writer.add(name, source.read(name))
    patterns = [rule.name for rule in table.rules if rule.path.endswith("/a")]
    stated = {
        "peft_type": "LORA",
        "r": adapter.lora.rank,
        "lora_alpha": adapter.lora.alpha,
        "target_modules": [_target(name) for name in patterns],
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "base_model_name_or_path": None,
        "task_type": None,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(stated, indent=2) + "\n")


def _target(name: str) -> str:
    """Suffix by which peft selects the layers of a rule, such as "attn.qkv" in every block."""
    module = name.removeprefix(PEFT_PREFIX).removesuffix(".lora_A.weight")
    return module.partition(f"{LAYER}.")[2] or module
