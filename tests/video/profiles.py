# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ICC profiles written from their numbers (ICC.1:2001-04), and the colours that they mean in sRGB.

The colours are computed here in float64 from the primaries, without a colour management system.
"""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
D65_XY = (0.3127, 0.3290)
SRGB_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_XY = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def srgb_linear(levels):
    x = np.asarray(levels, np.float64) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def srgb_levels(linear):
    x = np.clip(linear, 0, 1)
    return 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def xyz_of(primaries):
    """Matrix from linear RGB of a display with a white of D65 to XYZ."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    x, y = D65_XY
    return columns * np.linalg.solve(columns, (x / y, 1, (1 - x - y) / y))


def in_srgb(levels, primaries, gamma=None):
    """Levels of sRGB, unrounded, of colours of another display; gamma None is the curve of sRGB."""
    linear = srgb_linear(levels) if gamma is None else (np.asarray(levels) / 255.0) ** gamma
    return srgb_levels(linear @ (np.linalg.inv(xyz_of(SRGB_XY)) @ xyz_of(primaries)).T)


def matrix_profile(primaries, gamma=None):
    """Profile of a display with these primaries and a white of D65."""
    white = xyz_of(primaries).sum(axis=1)
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    columns = (np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ xyz_of(primaries)).T
    curve = _curve(srgb_linear(np.linspace(0, 255, 4096))) if gamma is None else _gamma(gamma)
    tags = {name: _xyz(column) for name, column in zip(("rXYZ", "gXYZ", "bXYZ"), columns)}
    tags |= dict.fromkeys(("rTRC", "gTRC", "bTRC"), curve)
    return _profile("mntr", "RGB ", "XYZ ", tags)


def grey_profile(gamma):
    return _profile("mntr", "GRAY", "XYZ ", {"kTRC": _gamma(gamma)})


def ink_profile(lab):
    """Profile of a printer, by the CIELAB colours of its sixteen solid overprints.

    lab: (2, 2, 2, 2, 3), indexed by cyan, magenta, yellow and black.
    """
    levels = np.asarray(lab, np.float64).reshape(-1, 3) * (2.55, 1, 1) + (0, 128, 128)
    identity = bytes(range(256))
    table = struct.pack(">4s4xBBBx9i", b"mft1", 4, 3, 2, *np.eye(3, dtype=int).ravel() * 65536)
    table += identity * 4 + np.rint(levels).astype(np.uint8).tobytes() + identity * 3
    return _profile("prtr", "CMYK", "Lab ", {"A2B0": table, "A2B1": table})


def lab_in_srgb(lab):
    """Levels of sRGB, unrounded, of colours in CIELAB with a white of D50."""
    f_y = (np.asarray(lab, np.float64)[..., 0] + 16) / 116
    f = np.stack([f_y + lab[..., 1] / 500, f_y, f_y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * D50
    white = xyz_of(SRGB_XY).sum(axis=1)
    back = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ white) / (BRADFORD @ D50)) @ BRADFORD
    return srgb_levels(xyz @ (np.linalg.inv(xyz_of(SRGB_XY)) @ back).T)


def _fixed(value):
    return struct.pack(">i", round(value * 65536))


def _xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _gamma(gamma):
    return struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256))


def _curve(values):
    steps = np.rint(values * 65535).astype(">u2")
    return struct.pack(">4s4xI", b"curv", len(steps)) + steps.tobytes()


def _profile(kind, space, connection, tags):
    text = b"test\0"
    described = struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78)
    tags = {"desc": described, "cprt": b"text\0\0\0\0" + text, "wtpt": _xyz(D50)} | tags
    at, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name.encode(), at + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x",
        at + len(data),
        0x02400000,  # version 2.4
        *(name.encode() for name in (kind, space, connection, "acsp")),
    )
    return header + b"".join(map(_fixed, D50)) + bytes(48) + table + data
