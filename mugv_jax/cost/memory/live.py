# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Number of copies of each array that XLA keeps alive, by platform.

All fitted constants of the memory estimate are here. Those of CPU and TPU are fitted to the
figures of compiled programs (`memory_analysis()`), and tests hold those of the CPU to them. The
sizes of the arrays are not fitted: they follow from the code.
"""

import dataclasses

from mugv_jax.nn.conv import FAST_CHANNELS, FAST_VALUES

FLOAT32 = 4  # bytes
SCORE_COPIES = 3  # a VAE's attention: scores, their exponentials, probabilities


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolutions:
    """Copies of a VAE's arrays that are alive at once, all float32.

    picture: widest array of a VAE's spatial half (frames, height, width, channels).
    features: input of a temporal encoder, while its first convolution reads it.
    window: widest array inside of a VAE's temporal half.
    part: widest array of a VAE that streams (frames of one latent, height, width, channels).
    cache: arrays that a streaming VAE carries from part to part; some platforms copy them to
        another layout.
    """

    picture: float
    features: float
    window: float
    part: float
    cache: float = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Live:
    """Copies alive at the worst point of a transformer (n tokens, d width, a heads of e, m MLP).

    residual: token states (n d): the scan's carry, the running sum, the normalised input.
    heads: (n a e) arrays: queries, keys and values before and after norms and changes of layout,
        and attention's output.
    hidden: the MLP's hidden layer (n m), before and after GELU.
    apart: (n d) arrays around a block outside of the scan over layers (MM-DiT's last), on one
        device: there the two forward passes of a guided step reach it together.
    vectors: modulation vectors of every token (n d), float32, where their lookup is not fused into
        the arithmetic.
    scores: blocks of attention scores, each of the budget in `kernels/flash.py`.
    layer: the weights of one layer, sliced out of the stack and, where their width is split over
        devices, gathered.
    unpacked: the widest kernel of a layer after its 8 bits are widened.
    relaid: attention weights of all layers, copied to another layout before the scan where their
        width is split over devices.
    widened: float32 copies of 16-bit weights, on platforms without 16-bit arithmetic.
    direct: arrays of convolutions that are computed as they stand.
    transformed: arrays of convolutions that `nn/conv.py` transforms (2D ones on CPU, from some
        width on and up to some size), or None where it transforms none.
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

    def convolved(self, array: str, nbytes: int, channels: int) -> float:
        """Bytes alive around an array of a VAE.

        array: a field of `Convolutions`.  nbytes: of one copy.
        channels: fewer than `nn.conv.FAST_CHANNELS` are never transformed.
        """
        direct = getattr(self.direct, array) * nbytes
        if self.transformed is None or channels < FAST_CHANNELS:
            return direct
        largest = min(nbytes, FAST_VALUES * FLOAT32)
        return max(direct, getattr(self.transformed, array) * largest)


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
        transformed=Convolutions(picture=6, features=3, window=9.5, part=9),
    ),
    # The DiT: programs compiled for an H200 (`compile/gpu_target.py`) with cuDNN's attention and
    # every layer's weights sliced out; an earlier one needed 2.5% more in a run than it said.
    # The VAE: constants of the TPU, which agree with measurements on an H200 (1% more for decoding,
    # 15% more for encoding). The compiled program does not: it leaves out the convolutions' work
    # space. The Wan VAE: programs compiled for an H200, which copy nothing to another layout; not
    # measured.
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
