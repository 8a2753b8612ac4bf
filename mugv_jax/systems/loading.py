# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of `from_pretrained`, among them those that scripts for diffusers give."""

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from mugv_jax.systems.arguments import check_names
from mugv_jax.systems.diffusers_methods import dtype_named
from mugv_jax.systems.models import LoadingOptions

log = logging.getLogger(__name__)

# Parts that diffusers' pipelines take as loaded modules of PyTorch.
PARTS = ("vae", "transformer", "image_encoder", "image_processor", "scheduler")
# Options about the way in which diffusers reads files.
WAYS = (
    "variant", "revision", "use_safetensors", "low_cpu_mem_usage", "device_map", "cache_dir",
    "local_files_only", "token", "trust_remote_code",
)  # fmt: skip


class PretrainedOptions(LoadingOptions, total=False):
    """Options that every `from_pretrained` takes beside its own.

    torch_dtype: `dtype` as a name or as PyTorch has it.
    vae, transformer, image_encoder, scheduler, ...: not used, since modules of PyTorch cannot be;
        the pipeline reads its own. This is said.
    variant, revision, device_map, ...: not used; files are found by their names.
    """

    torch_dtype: Any
    vae: Any
    transformer: Any
    image_encoder: Any
    image_processor: Any
    scheduler: Any
    variant: Any
    revision: Any
    use_safetensors: Any
    low_cpu_mem_usage: Any
    device_map: Any
    cache_dir: Any
    local_files_only: Any
    token: Any
    trust_remote_code: Any


def loading_options(pipeline: type, options: Mapping[str, Any]) -> LoadingOptions:
    """Options of `Models.from_files`, from those of the `from_pretrained` of a pipeline's class.

    Raises:
        ValueError: an unknown option, or a dtype that models do not compute in.
    """
    own_names = inspect.signature(pipeline.from_pretrained).parameters
    known = [name for name in own_names if name not in ("weights", "options")]
    known += [*LoadingOptions.__annotations__, "torch_dtype", *PARTS, *WAYS]
    check_names(options, known, "from_pretrained")
    for name in PARTS:
        if options.get(name) is not None:
            log.warning("%s is not used: the pipeline reads its own from the weights.", name)
    own: Any = {name: options[name] for name in LoadingOptions.__annotations__ if name in options}
    dtype = own.get("dtype") or options.get("torch_dtype")
    if dtype is not None:
        own["dtype"] = dtype_named(dtype)
    return own
