# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""HDR to SDR: pictures with the PQ or HLG transfer of BT.2100, as pictures of BT.709.

With R'G'B' in [0, 1], light in units of the peak L = 1000 nits, and C each of R, G and B:

    PQ    C = EOTF(C') / L                        BT.2100, table 4
    HLG   C = Y^(1.2 - 1) OETF^-1(C')             BT.2100, table 5: the OOTF at a peak of 1000 nits
    map   C <- C EETF(m) / m,  m = max(R, G, B)   BT.2390, 5.4.1: from L to the white W = 203 nits
    709   C <- matrix C L / W, clipped to [0, 1]  BT.2087 for the primaries of BT.2020
    out   255 C^(1 / 2.4)                         BT.1886, the display of BT.709

203 nits is the diffuse white of HDR (BT.2408), which becomes level 230; up to 88 nits, level 180,
light keeps its proportions, and highlights share the rest. Scaling by the largest component
keeps hues. The peak is the same for all files, whatever their metadata say, so that equal pixels
stay equal; PQ above it is shown as at the peak.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8, UInt16

PQ, HLG = 16, 18  # transfer characteristics, H.273 table 3
BT709, BT2020 = 1, 9  # colour primaries, H.273 table 2
PEAK_NITS, WHITE_NITS = 1000.0, 203.0
HLG_GAMMA = 1.2  # at PEAK_NITS
DISPLAY_GAMMA = 2.4
CODES = 1 << 16
# Tables of light are indexed by its root, which spreads dark values: a step is a quarter of a level
# next to black, and less above.
ROOTS = 4096
CHUNK = 1 << 14  # pixels at a time, whose arrays stay in the processor's cache
D65 = (0.3127, 0.3290)
CHROMATICITIES = {  # (x, y) of R, G and B for colour primaries with white D65, H.273 table 2
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


class _Tables(NamedTuple):
    """Everything that depends on the transfer and the primaries alone.

    light: of every code of R' in units of PEAK_NITS, for HLG before the OOTF.
    luminance: weights of R, G and B in Y.
    gain: EETF(m) / m for m = (index / (ROOTS - 1))^2.
    matrix: to BT.709 with 1 for WHITE_NITS.
    levels: of linear BT.709, indexed as `gain`.
    """

    light: Float[np.ndarray, "65536"]
    luminance: Float[np.ndarray, "3"]
    gain: Float[np.ndarray, "4096"]
    matrix: Float[np.ndarray, "3 3"]
    levels: UInt8[np.ndarray, "4096"]


def to_sdr(
    codes: UInt16[np.ndarray, "h w 3"], top: int, transfer: int, primaries: int
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture for BT.709 displays, of full-range R'G'B' with the transfer PQ or HLG.

    top: code of R' = 1; what is above counts as 1.
    primaries: as H.273 numbers them; those that are unknown count as BT.2020, which BT.2100 has.
    """
    tables = _tables(top, transfer, primaries if primaries in CHROMATICITIES else BT2020)
    shown = np.empty(codes.shape, np.uint8)
    flat_in, flat_out = codes.reshape(-1, 3), shown.reshape(-1, 3)
    for start in range(0, len(flat_in), CHUNK):
        part = slice(start, start + CHUNK)
        flat_out[part] = _mapped(flat_in[part], tables, hlg=transfer == HLG)
    return shown


def _mapped(
    codes: UInt16[np.ndarray, "n 3"], tables: _Tables, *, hlg: bool
) -> UInt8[np.ndarray, "n 3"]:
    rgb_3n = np.take(tables.light, codes.T)
    largest = rgb_3n.max(axis=0)
    if hlg:
        ootf = (tables.luminance @ rgb_3n) ** np.float32(HLG_GAMMA - 1)
        rgb_3n *= ootf
        largest *= ootf
    over = np.maximum(largest, 1)
    rgb_3n *= np.take(tables.gain, _index(largest)) / over
    return np.take(tables.levels, _index(tables.matrix @ rgb_3n)).T


def _index(light: Float[np.ndarray, "..."]) -> np.ndarray:
    """Places of light, clipped to [0, 1], in a table of ROOTS entries."""
    roots = np.sqrt(np.clip(light, 0, 1))
    roots *= ROOTS - 1
    roots += 0.5
    return roots.astype(np.intp)


@functools.cache
def _tables(top: int, transfer: int, primaries: int) -> _Tables:
    signal = np.minimum(np.arange(CODES) / top, 1)
    light = _pq_nits(signal) / PEAK_NITS if transfer == PQ else _hlg_scene(signal)
    to_xyz = _rgb_to_xyz(primaries)
    matrix = np.linalg.solve(_rgb_to_xyz(BT709), to_xyz) * PEAK_NITS / WHITE_NITS
    squares = np.linspace(0, 1, ROOTS) ** 2
    gain = np.ones(ROOTS)
    gain[1:] = _eetf(squares[1:] * PEAK_NITS) / (squares[1:] * PEAK_NITS)
    levels = np.rint(255 * squares ** (1 / DISPLAY_GAMMA)).astype(np.uint8)
    light, luminance, gain, matrix = (
        each.astype(np.float32) for each in (light, to_xyz[1], gain, matrix)
    )
    return _Tables(light, luminance, gain, matrix, levels)


def _eetf(nits: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """BT.2390, 5.4.1 from PEAK_NITS to WHITE_NITS, both with black at 0."""
    peak, top = _pq_signal(np.array([PEAK_NITS, WHITE_NITS]))
    largest = top / peak
    knee = 1.5 * largest - 0.5
    signal = _pq_signal(nits) / peak
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * largest
    )
    return _pq_nits(np.where(signal < knee, signal, spline) * peak)


M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_nits(signal: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """EOTF of PQ, in nits."""
    root = signal ** (1 / M2)
    return 10_000 * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1)


def _pq_signal(nits: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Inverse of `_pq_nits`."""
    root = (nits / 10_000) ** M1
    return ((C1 + C2 * root) / (1 + C3 * root)) ** M2


def _hlg_scene(signal: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Inverse OETF of HLG: scene light in [0, 1]."""
    a = 0.17883277
    b = 1 - 4 * a
    c = 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _rgb_to_xyz(primaries: int) -> Float[np.ndarray, "3 3"]:
    """Matrix from linear RGB to XYZ whose white has Y = 1 (SMPTE RP 177)."""

    def xyz(x: float, y: float) -> list[float]:
        return [x / y, 1, (1 - x - y) / y]

    columns = np.array([xyz(*each) for each in CHROMATICITIES[primaries]]).T
    return columns * np.linalg.solve(columns, np.array(xyz(*D65)))
