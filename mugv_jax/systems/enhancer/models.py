# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files of the enhancer's models and tokenizer."""

import functools
import logging
import os
from pathlib import Path
from typing import Unpack

from mugv_jax.nn.quantize import check_quantize
from mugv_jax.systems.enhancer.system import SYSTEM, EnhancerConfig
from mugv_jax.systems.models import LORA, TOKENIZER, LoadingOptions, adapter_options
from mugv_jax.systems.pretrained import first_of, local_folder, required
from mugv_jax.systems.record import arguments
from mugv_jax.systems.wan_text import WanTextModels
from mugv_jax.weights.adapters import Adapters

log = logging.getLogger(__name__)

WAN = "Wan-AI/Wan2.1-T2V-1.3B"
FOLDER = "enhancer"  # subfolder of MUG-V's repository
NAMES = {
    **SYSTEM.files,
    TOKENIZER: ("tokenizer", "google/umt5-xxl"),
    LORA: ("lora", "pytorch_model.bin"),
}
OF_WAN = ("vae", "text", TOKENIZER)  # files that Wan2.1 provides


def find_enhancer(
    weights: str | os.PathLike, *, wan: str | os.PathLike | None = None
) -> dict[str, Path]:
    """Path of each of `NAMES` in the folder or repository `weights`, or in its folder `enhancer`.

    "lora" may be missing: a converted DiT can hold its updates already.

    wan: folder or repository with the files of Wan2.1 that `weights` lacks; by default Wan's own.

    Raises:
        ValueError: a missing file; the message names what was looked for.
    """
    files = [name for names in NAMES.values() for name in names]
    folder = local_folder(weights, [*files, f"{FOLDER}/*"])
    folder = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    found = {name: first_of(folder, names) for name, names in NAMES.items()}
    found["dit"] = required(folder, "enhancer's DiT", NAMES["dit"])
    if any(found[name] is None for name in OF_WAN):
        other = local_folder(wan or WAN, [name for each in OF_WAN for name in NAMES[each]])
        for name in OF_WAN:
            found[name] = found[name] or required(other, name, NAMES[name])
    return {name: path for name, path in found.items() if path is not None}


class EnhancerModels(WanTextModels[EnhancerConfig]):
    """DiT, VAE and UMT5, and the tokenizer of UMT5."""

    system = SYSTEM

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        wan: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        lora_scale: float = 1.0,
        lora_merged: bool = True,
        **options: Unpack[LoadingOptions],
    ) -> "EnhancerModels":
        """Models from published or converted files; see `find_enhancer` and `from_files`.

        lora: low-rank updates instead of those beside the weights: a path, a list of paths, or
            (path, scale) pairs; each is a file, a folder or a training run.
        lora_alpha, lora_scale, lora_merged: see `weights.load.load`.
        """
        check_quantize(options.get("quantize"))  # refused before a download
        options_of = functools.partial(
            adapter_options, alpha=lora_alpha, scale=lora_scale, merged=lora_merged
        )
        adapter = options_of(lora)
        paths = find_enhancer(weights, wan=wan)
        beside = paths.pop(LORA, None)
        adapter = options_of(beside) if lora is None else adapter
        models = cls.from_files(paths, adapter=adapter, **options)
        models.arguments = arguments(
            weights=weights, wan=wan, lora=lora, lora_alpha=lora_alpha,
            lora_scale=lora_scale, lora_merged=lora_merged,
        )  # fmt: skip
        named = ", ".join(str(path) for path, _ in adapter.get(LORA, ()))
        updates = f"with the updates of {named}" if named else "without updates"
        log.info("the enhancer is %s, %s.", paths["dit"], updates)
        return models
