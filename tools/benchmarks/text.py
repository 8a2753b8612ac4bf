# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""T5 v1.1 on prompts of different lengths, padded to the length that MUG-V uses."""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import torch
import transformers
from torch import Tensor

from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.weights.tables import t5
from tools.benchmarks.exchange import build, from_jax, to_jax, variables
from tools.benchmarks.measure import Task, Variant, relative_l2
from tools.benchmarks.setting import Setting

TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 5e-2}
PROMPTS = 2


class Inputs(NamedTuple):
    """Token ids (b s), and the mask of those that are words."""

    ids: Tensor
    mask: Tensor


def tasks(name: str, setting: Setting) -> Iterator[Task]:
    """One encoding of a batch of prompts; size "full" is T5-XXL."""
    size = setting.size
    published = transformers.T5Config(
        vocab_size=32128,
        d_model=size.text_width,
        d_kv=64,
        d_ff=size.text_mlp,
        num_layers=size.text_depth,
        num_heads=size.text_heads,
        feed_forward_proj="gated-gelu",
    )
    reference = _reference(setting, published)
    config = t5.config_from_published(published.to_dict())
    weights = variables(reference.state_dict(), t5.table(config))

    def inputs(tokens: int = size.text_tokens) -> Inputs:
        lengths = tokens // torch.arange(1, PROMPTS + 1, device=setting.device)
        mask = torch.arange(tokens, device=setting.device)[None] < lengths[:, None]
        ids = torch.randint(published.vocab_size, mask.shape, device=setting.device)
        return Inputs(ids, mask)

    def check(variant: Variant) -> float:
        few = inputs(size.text_tokens // 2)
        wide = copy.deepcopy(reference).double()
        expected = wide(few.ids, attention_mask=few.mask).last_hidden_state
        return relative_l2(variant.read(variant.bind(few)()), [expected])

    def bind(x: Inputs) -> Callable[[], Tensor]:
        return lambda: reference(x.ids, attention_mask=x.mask).last_hidden_state

    yield Task(
        name=name,
        sizes={"width": size.text_width, "heads": size.text_heads, "mlp": size.text_mlp}
        | {"depth": size.text_depth, "prompts": PROMPTS, "tokens": size.text_tokens},
        variants=[
            _ours(setting, config, weights),
            Variant(name="PyTorch", ours=False, bind=bind, read=lambda out: [out]),
        ],
        inputs=inputs,
        check=check,
        tolerance=TOLERANCES[setting.dtype],
        work=PROMPTS * _operations(published, size.text_tokens),
        unit="TFLOP/s",
        memory=True,
    )


def _reference(setting: Setting, published: transformers.T5Config) -> torch.nn.Module:
    make = functools.partial(transformers.T5EncoderModel, published)
    reference = build(make, setting.device, setting.dtype)
    reference.tie_weights()
    for name, weight in reference.state_dict().items():
        if name.endswith("SelfAttention.q.weight"):
            weight.mul_(published.d_kv**-0.5)  # T5's weights include the scale of the scores
    return reference


def _ours(setting: Setting, config: Any, weights: Any) -> Variant:
    module = T5Encoder(config, setting.jax_dtype)
    encode = jax.jit(module.apply)

    def bind(x: Inputs) -> Callable[[], jax.Array]:
        ids, mask = to_jax(x.ids.int()), to_jax(x.mask)
        return lambda: encode(weights, ids, mask)

    return Variant(name="ours", ours=True, bind=bind, read=lambda out: [from_jax(out)])


def _operations(config: transformers.T5Config, tokens: int) -> int:
    """Floating-point operations of one prompt: products with weights, scores and values."""
    inner = config.num_heads * config.d_kv
    weights = 4 * config.d_model * inner + 3 * config.d_model * config.d_ff
    return config.num_layers * (2 * tokens * weights + 4 * tokens**2 * inner)
