"""ICC profiles of colour spaces that are easy to compute with."""

import struct

import numpy as np

SRGB_TO_XYZ = np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169],
                        [0.0139322, 0.0971045, 0.7141733]])
"""Linear sRGB to XYZ as profiles have it, adapted to D50 (Lindbloom)."""


def profile(space: bytes, curves: dict[bytes, float], primaries: dict[bytes, np.ndarray]) -> bytes:
    """A minimal ICC profile, version 2: gamma curves, and for RGB a matrix."""
    def fixed(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(v * 65536) for v in values))

    tags = {b"wtpt": fixed(np.array([0.9642, 1, 0.8249])), **{k: fixed(v) for k, v in primaries.items()},
            **{k: b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(g * 256), 0) for k, g in curves.items()}}
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s12s4s28s", start + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ",
                       bytes(12), b"acsp", bytes(28)) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def rgb_profile(to_xyz: np.ndarray, gamma: float) -> bytes:
    return profile(b"RGB ", dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma),
                   dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T, strict=True)))


NARROW = SRGB_TO_XYZ @ np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
"""A space with paler primaries: all of its colours are inside of sRGB."""
