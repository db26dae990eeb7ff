"""Numbers that look random and are the same on any machine, in any process, on any day.

They come from a keyed hash and from a bit generator whose stream numpy guarantees, never from `hash()`, nor from
numpy's distributions, whose streams may change between versions.
"""

from hashlib import blake2b

import numpy as np

from market_pipeline.sandbox.bar_arrays import Floats


def number(*words: object) -> float:
    """A number in [0, 1) that belongs to these words."""
    return int.from_bytes(_digest(*words)[:8], "big") / 2**64


def identifier(*words: object) -> str:
    """32 lower-case hex digits twice over, as in the vendor's ids of splits and dividends."""
    return blake2b(_joined(*words), digest_size=32).hexdigest()


def uniforms(count: int, *words: object) -> Floats:
    """The first `count` of the endless series of numbers in [0, 1) that belongs to these words."""
    raw = np.random.PCG64(int.from_bytes(_digest(*words), "big")).random_raw(count)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(count: int, *words: object) -> Floats:
    """The first `count` of an endless series with mean 0, variance 1 and a bell's shape, none beyond 3.5.

    Each is the sum of four uniform numbers (the Irwin-Hall distribution, centred and scaled).
    """
    sums: Floats = uniforms(4 * count, *words).reshape(count, 4).sum(axis=1)
    return np.asarray((sums - 2.0) * 3.0**0.5)


def _joined(*words: object) -> bytes:
    return "|".join(map(str, words)).encode()


def _digest(*words: object) -> bytes:
    return blake2b(_joined(*words), digest_size=16).digest()
