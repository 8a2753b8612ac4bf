# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Names of low-rank updates in files, resolved against the linear layers of a known model.

    base_model.model.LAYER.lora_A.weight            peft
    base_model.model.LAYER.lora_A.default.weight    peft, a state dict with the adapter's name
    transformer.LAYER.lora_A.weight                 diffusers; lora.down.weight in old files
    diffusion_model.LAYER.lora_A.weight             ComfyUI; lora_down.weight too
    lora_unet_LAYER.lora_down.weight                kohya and musubi, "_" for every "." of LAYER
    pipe.dit.LAYER.lora_A.default.weight            the enhancer's; pipe.dit.NAME is a whole tensor
    PREFIX.LAYER.alpha                              alpha of the layer, a number

LAYER is a published name such as `blocks.0.attn.qkv`, or one of the model's other spellings, which
may be of a part of a weight (`attn.to_q`) or of several weights at once (`attn.to_qkv`). One prefix
must explain all names of a file.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from mugv_jax.weights.adapter_table import linear_layers
from mugv_jax.weights.names import without_wrapping
from mugv_jax.weights.table import LAYER, Spelling, Table, Target

# Parts of which prefixes consist.
_PREFIX_PARTS = {
    "base_model", "model", "module", "transformer", "diffusion_model", "unet", "pipe", "dit", "net",
    "denoiser",
}  # fmt: skip
_FLAT_PREFIXES = ("lora_unet_", "lora_transformer_", "lora_dit_")
_ENDING = r"(?:(?:\.(?P<adapter>[^.]+))?\.weight)?"
_NAMES = (
    re.compile(rf"(?P<module>.+)\.lora_(?P<role>[AB]){_ENDING}"),
    re.compile(rf"(?P<module>.+)[._]lora[._](?P<role>down|up){_ENDING}"),
    re.compile(r"(?P<module>.+)\.(?P<role>alpha)(?P<adapter>)"),
)
_ROLES = {"A": "a", "down": "a", "B": "b", "up": "b", "alpha": "alpha"}


@dataclasses.dataclass
class Module:
    """Tensors of one module of a file, and the rows of the weights that they update.

    name: the module's name in the file.
    targets: empty if the model has no such layer.
    tensors: role "a", "b" or "alpha" -> name of the tensor.
    """

    name: str
    targets: tuple[Target, ...]
    tensors: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of a file of low-rank updates.

    prefix: what all names begin with.
    modules: modules by name.
    whole: tensor -> tensor of the model that it replaces; only with the enhancer's prefix.
    unknown: names that the model does not explain.
    adapters: names of peft's adapters in the file.
    """

    prefix: str
    modules: Mapping[str, Module]
    whole: Mapping[str, str]
    unknown: Sequence[str]
    adapters: Sequence[str]


def resolve(
    names: Iterable[str], table: Table, spellings: Sequence[Spelling], whole_prefix: str
) -> Names:
    """What the names of a file mean for a model.

    spellings: other names of the model's layers.
    whole_prefix: prefix with which whole tensors may be replaced.
    """
    parsed = {name: _parse(name) for name in names}
    layers = targets(table, spellings)
    modules = {match["module"] for match in parsed.values() if match is not None}
    prefix = max(
        _prefixes(modules),
        key=lambda prefix: sum(_found(name, prefix, layers) is not None for name in modules),
    )
    published = {name for rule in table.rules for name in table.names(rule)}
    found: dict[str, Module] = {}
    whole, unknown, adapters = {}, [], {}
    for name, match in parsed.items():
        plain = name.removeprefix(prefix)
        if match is None:
            if prefix == whole_prefix and name.startswith(prefix) and plain in published:
                whole[name] = plain
            else:
                unknown.append(name)
            continue
        module = found.setdefault(
            match["module"],
            Module(match["module"], _found(match["module"], prefix, layers) or ()),
        )
        role = _ROLES[match["role"]]
        if not module.targets or role in module.tensors:
            unknown.append(name)
        module.tensors.setdefault(role, name)
        if match["adapter"]:
            adapters[match["adapter"]] = None
    return Names(prefix, found, whole, unknown, [*adapters])


def targets(table: Table, spellings: Sequence[Spelling]) -> dict[str, tuple[Target, ...]]:
    """Rows of published weights by every name of a layer, with dots and with underscores."""
    known = linear_layers(table)
    found: dict[str, tuple[Target, ...]] = {name: (Target(name),) for name in known}
    for spelling in spellings:
        for layer in range(table.layers + 1) if LAYER in spelling.name else (0,):
            name = spelling.name.replace(LAYER, str(layer))
            rows = tuple(
                dataclasses.replace(each, layer=each.layer.replace(LAYER, str(layer)))
                for each in spelling.targets
            )
            if all(each.layer in known for each in rows):
                found.setdefault(name, rows)
    flat: dict[str, set[tuple[Target, ...]]] = {}
    for name, rows in found.items():
        flat.setdefault(name.replace(".", "_"), set()).add(rows)
    # A name with underscores that stands for two layers is left out, so it is refused.
    return found | {
        name: rows.pop() for name, rows in flat.items() if len(rows) == 1 and name not in found
    }


def _parse(name: str) -> re.Match | None:
    """Module, role and adapter in the name of a tensor; None for other tensors."""
    return next((match for each in _NAMES if (match := each.fullmatch(name))), None)


def _found(
    module: str, prefix: str, layers: Mapping[str, tuple[Target, ...]]
) -> tuple[Target, ...] | None:
    """Rows that a module updates, or None."""
    if not module.startswith(prefix):
        return None
    return layers.get(without_wrapping(module.removeprefix(prefix)))


def _prefixes(modules: Iterable[str]) -> list[str]:
    """Prefixes that some module has; the longest come last, so the shortest of equals is taken."""
    prefixes = {""}
    for module in modules:
        prefixes |= {flat for flat in _FLAT_PREFIXES if module.startswith(flat)}
        parts = module.split(".")
        for count, part in enumerate(parts[:-1], start=1):
            if part not in _PREFIX_PARTS and without_wrapping(part):
                break
            prefixes.add(".".join(parts[:count]) + ".")
    return sorted(prefixes, key=len)
