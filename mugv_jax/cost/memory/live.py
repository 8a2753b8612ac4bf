# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""How many copies of each array XLA keeps alive, by platform: all fitted constants are here.

Those of CPU and TPU are fitted to the compiled programs' own figures (`memory_analysis()`), and a
test holds those of the CPU to them. Sizes of the arrays are not fitted: they follow from the code.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolutions:
    """Copies alive at once in the VAEs, all float32.

    picture: the spatial half's widest array (frames, height, width, channels).
    features: the temporal encoder's input, while the first convolution reads it.
    window: the temporal half's widest array inside.
    part: the Wan VAE's widest array (a latent's frames, height, width, channels).
    cache: what the Wan VAE carries from part to part, which some platforms lay out anew.
    """

    picture: float
    features: float
    window: float
    part: float
    cache: float = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Live:
    """Copies alive at once where a transformer needs most (n tokens, d width, a heads of e, m MLP).

    residual: token states (n d): the scan's carry, the running sum, the normalised input.
    heads: (n a e) arrays: queries, keys and values before and after norms and changes of layout,
        and attention's output.
    hidden: the MLP's hidden layer (n m), before and after GELU.
    apart: (n d) arrays around a block that stands outside of the scan over layers (MM-DiT's last),
        on one device: there the two forwards of a step reach it together.
    vectors: modulation vectors of every token (n d), float32, where looking them up is not fused
        into the arithmetic.
    scores: blocks of attention scores, each of the budget in `kernels/attention.py`.
    layer: the weights of one layer, cut out of the stack of all and, where their width is split
        over devices, gathered.
    unpacked: of the widest kernel of a layer, made of its 8 bits.
    relaid: the DiT's attention weights, of all layers, copied to another layout before the scan
        where their width is split over devices.
    widened: float32 copies of 16-bit weights, where there is no 16-bit arithmetic.
    direct, transformed: of convolutions as they stand, and of those that `nn/conv.py` transforms
        (arrays of some width and up to some size, on CPU).
    """

    residual: float
    heads: float
    hidden: float
    apart: float = 0
    vectors: float = 0
    scores: float
    layer: float
    unpacked: float
    relaid: float = 0
    widened: float = 0
    direct: Convolutions
    transformed: Convolutions | None = None


LIVE = {
    # Little is fused: lookups, changes of layout and each tap of a convolution are arrays.
    "cpu": Live(
        residual=3,
        heads=8,
        hidden=2,
        apart=20,
        vectors=6,
        scores=2,
        layer=0.75,  # the MLP's part of it
        unpacked=2,
        widened=1,
        direct=Convolutions(picture=3.25, features=3, window=9.5, part=9),
        transformed=Convolutions(picture=6, features=10, window=17, part=13),
    ),
    # The DiT: programs compiled for an H200 (`compile/gpu_target.py`), with cuDNN's attention and
    # every layer's weights cut out; what ran there before needed 2.5% more than its program said.
    # The VAE: constants of the TPU, which agree with what an H200 needed (1% more for decoding, 15%
    # more for encoding) as the program does not: it leaves out the convolutions' work space. The
    # Wan VAE: programs compiled for an H200, which lay out nothing anew; not measured.
    "gpu": Live(
        residual=2,
        heads=6,
        hidden=1,
        scores=1.5,
        layer=1,
        unpacked=2,
        direct=Convolutions(picture=5, features=1.8, window=4.5, part=5),
    ),
    # Programs compiled for v5p at full size: the DiTs on one device and on four, the VAEs on one.
    "tpu": Live(
        residual=3,
        heads=6,
        hidden=2,
        apart=18,
        scores=1.5,  # float32 scores and 16-bit weights
        layer=0,
        unpacked=2,
        relaid=1,
        direct=Convolutions(picture=5, features=1.8, window=4.5, part=4.5, cache=2),
    ),
}
