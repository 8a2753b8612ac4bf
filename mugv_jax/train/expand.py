# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Function-preserving expansion of a MUGDiT in width and depth (arXiv:2510.17519, section 4.2.1).

Width (HyperCloning, arXiv:2409.12903): every activation of size `width` becomes e copies of itself,
x' = [x; ...; x]; the number of heads and the MLP width also grow by e, head_dim does not change.

    W' = [[W/e ... W/e], ..., [W/e ... W/e]],    b' = [b; ...; b]

Along an input axis the sum now has e equal terms, so each copy of the weight is divided by e; along
an output axis weights and bias are repeated. Equation 2 of the paper divides b by e as well, which
would change the function, since a bias is added only once. Norms over the width and attention
scores over head_dim see the same statistics as before.

Noise breaks the symmetry between copies: it is added to the e copies of every weight along the
input axis and sums to zero over them, so the function is preserved at any noise scale.

Depth: a new block copies the block before it, with its residual branches' output layers set to 0.
"""

import dataclasses
import zlib
from collections.abc import Mapping

import numpy as np

from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.check import check, identify
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import UNUSED, Index, LazyTensor, rows_per_piece
from mugv_jax.weights.sources import Source

KIND = "mugv_dit"
BLOCKS = "params/blocks/"

# Parameter path -> role of each axis (without the layer axis): "out" is repeated, "in" is repeated
# and divided by the factor, "." is unchanged. A bias has the roles of its kernel's last axes.
AXES = {
    "params/start_token": "out",
    "params/end_token": "out",
    "params/patch_embed/kernel": ". out",
    "params/time_embed/up/kernel": ". out",
    "params/time_embed/down/kernel": "in out",
    "params/fps_embed/up/kernel": ". out",
    "params/fps_embed/down/kernel": "in out",
    "params/modulation/kernel": "in . out",
    "params/text_embed/mlp/up/kernel": ". out",
    "params/text_embed/mlp/down/kernel": "in out",
    "params/blocks/scale_shift_table": ". out",
    "params/blocks/self_attention/qkv/kernel": "in . out .",
    "params/blocks/self_attention/q_norm/scale": ".",
    "params/blocks/self_attention/k_norm/scale": ".",
    "params/blocks/self_attention/out/kernel": "in . out",
    "params/blocks/cross_norm/scale": "out",
    "params/blocks/cross_norm/bias": "out",
    "params/blocks/cross_attention/q/kernel": "in out .",
    "params/blocks/cross_attention/kv/kernel": "in . out .",
    "params/blocks/cross_attention/q_norm/scale": ".",
    "params/blocks/cross_attention/k_norm/scale": ".",
    "params/blocks/cross_attention/out/kernel": "in . out",
    "params/blocks/mlp/up/kernel": "in out",
    "params/blocks/mlp/down/kernel": "in out",
    "params/final/scale_shift_table": ". out",
    "params/final/linear/kernel": "in .",
}
# Output layers of a block's residual branches; zero in a new block.
INTO_RESIDUAL = ("self_attention/out/", "cross_attention/out/", "mlp/down/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expansion:
    """Size and noise of an expansion.

    factor: multiplies the width.  depth: number of blocks of the larger model; None keeps it.
    noise: standard deviation of the noise on the copies of weights, relative to that of the copies.

    Raises:
        ValueError: values out of range, or nothing to expand.
    """

    factor: int = 1
    depth: int | None = None
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.factor < 1:
            raise ValueError(f"factor={self.factor} must be at least 1: a width cannot shrink.")
        if not 0 <= self.noise < np.inf:
            raise ValueError(f"noise={self.noise} must be 0 or a positive number.")
        if self.factor == 1 and self.depth is None:
            raise ValueError("nothing to expand: give a factor of at least 2, a depth, or both.")
        if self.factor == 1 and self.noise:
            raise ValueError(
                f"noise={self.noise} breaks the symmetry between copies, but factor=1 makes none."
            )

    def config(self, old: DiTConfig) -> DiTConfig:
        """Sizes of the larger model.

        Raises:
            ValueError: a depth below that of `old`.
        """
        depth = old.depth if self.depth is None else self.depth
        if depth < old.depth:
            raise ValueError(f"depth={depth} must be at least the {old.depth} blocks of the model.")
        return dataclasses.replace(
            old, depth=depth, width=old.width * self.factor, num_heads=old.num_heads * self.factor
        )


def block_order(old: int, new: int) -> list[tuple[int, bool]]:
    """(index of the source block, whether it is a new block) for each of `new` blocks.

    Old block i moves to floor(i new / old), so new blocks are spread evenly, each after the old
    block that it copies: 2 -> 4 gives 0, 0 new, 1, 1 new.
    """
    starts = [i * new // old for i in range(old)]
    origin = np.searchsorted(starts, np.arange(new), side="right") - 1
    return [(int(i), place != starts[i]) for place, i in enumerate(origin)]


def expanded(source: Source, expansion: Expansion) -> ParameterSource:
    """The MUGDiT in `source`, expanded lazily while it is read.

    Raises:
        ValueError: not a MUGDiT, or a depth below that of `source`.
    """
    model, config = identify(source, KIND)
    larger = expand(check(source, model, config), config, expansion)
    return ParameterSource(source.path, source.format, KIND, expansion.config(config), larger)


def expand(
    parameters: Mapping[str, LazyTensor], old: DiTConfig, expansion: Expansion
) -> dict[str, LazyTensor]:
    """Parameters of the larger model, computed lazily, layer by layer.

    parameters: path -> tensor of a MUGDiT of sizes `old`; tensors under `unused/` are unchanged.

    Raises:
        ValueError: a depth below that of `old`.
    """
    order = block_order(old.depth, expansion.config(old).depth)
    return {
        path: lazy if path.startswith(f"{UNUSED}/") else _expanded(path, lazy, order, expansion)
        for path, lazy in parameters.items()
    }


def _expanded(
    path: str, lazy: LazyTensor, order: list[tuple[int, bool]], expansion: Expansion
) -> LazyTensor:
    inner = lazy.shape[1:] if path.startswith(BLOCKS) else lazy.shape
    row = AXES[path] if path in AXES else AXES[f"{path.removesuffix('bias')}kernel"]
    roles = row.split()[-len(inner) :]
    shape = tuple(
        size if role == "." else size * expansion.factor for size, role in zip(inner, roles)
    )

    def layer(old: np.ndarray, place: int) -> np.ndarray:
        rng = np.random.default_rng([expansion.seed, zlib.crc32(path.encode()), place])
        return widen(old, roles, expansion.factor, expansion.noise, rng)

    def read(index: Index) -> np.ndarray:
        return layer(lazy.read(tuple(slice(0, size) for size in inner)), 0)[index]

    def read_stack(index: Index) -> np.ndarray:
        places = range(index[0].start, index[0].stop)
        out = np.empty((len(places), *(part.stop - part.start for part in index[1:])), lazy.dtype)
        for row, place in zip(out, places):
            origin, new = order[place]
            if new and path.removeprefix(BLOCKS).startswith(INTO_RESIDUAL):
                row[...] = 0
                continue
            box = (slice(origin, origin + 1), *(slice(0, size) for size in inner))
            row[...] = layer(lazy.read(box)[0], place)[index[1:]]
        return out

    if path.startswith(BLOCKS):
        shape = (len(order), *shape)
        rows = rows_per_piece(shape, lazy.dtype)
        return dataclasses.replace(lazy, shape=shape, read=read_stack, rows=rows)
    return dataclasses.replace(lazy, shape=shape, read=read, rows=max((1, *shape[:1])))


def widen(
    weight: np.ndarray, roles: list[str], factor: int, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """One layer's parameter, each axis expanded by its role (see AXES), in its own dtype.

    noise: as in `Expansion`, drawn from `rng`.
    """
    out = weight
    for axis, role in enumerate(roles):
        if role == "out":
            out = np.concatenate([out] * factor, axis)
    if "in" not in roles:
        return out
    return np.concatenate(_shares(out, factor, noise, rng), roles.index("in"))


def _shares(
    weight: np.ndarray, factor: int, noise: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """`factor` parts that sum to `weight`, equal except for noise and rounding.

    The last part is `weight` minus the other parts after rounding to the dtype, which keeps the sum
    correct in bfloat16 and for factors that are not powers of 2.
    """
    wide = weight.astype(np.float32)
    equal = wide / np.float32(factor)
    spread = np.float32(noise * np.std(equal, dtype=np.float64))
    offsets = np.zeros(factor, np.float32)
    if spread:
        offsets = rng.standard_normal((factor, *weight.shape), np.float32)
        offsets -= offsets.mean(axis=0)
        # Subtracting the mean reduced the variance by 1 / factor.
        offsets *= spread * np.float32(np.sqrt(factor / (factor - 1)))
    shares, left = [], wide
    for offset in offsets[:-1]:
        shares.append((equal + offset).astype(weight.dtype))
        left = left - shares[-1].astype(np.float32)
    return [*shares, left.astype(weight.dtype)]
