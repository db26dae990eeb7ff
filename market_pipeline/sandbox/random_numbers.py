"""Pseudo-random numbers, the same on any machine, in any process, on any day.

They come from a hash and from a bit generator whose stream numpy guarantees; `hash()` and numpy's distributions may
differ between processes or versions.
"""

from hashlib import blake2b

import numpy as np

from market_pipeline.sandbox.bar_arrays import Floats


def draw_number(*words: object) -> float:
    """Return the number in [0, 1) that belongs to these words."""
    return int.from_bytes(_hash_words(*words)[:8], "big") / 2**64


def make_identifier(*words: object) -> str:
    """Return 64 lower-case hex digits, as in the vendor's ids of splits and dividends."""
    return blake2b(_join_words(*words), digest_size=32).hexdigest()


def make_seed(*words: object) -> int:
    """Return the number of 64 bits that belongs to these words, as a seed of others."""
    return int.from_bytes(_hash_words(*words)[8:], "big")


def draw_uniform_series(count: int, *words: object) -> Floats:
    """Return the first `count` numbers of the series in [0, 1) that belongs to these words."""
    raw = np.random.PCG64(int.from_bytes(_hash_words(*words), "big")).random_raw(count)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw_normal_series(count: int, *words: object) -> Floats:
    """Return the first `count` numbers of a bell-shaped series with mean 0 and variance 1, none beyond 3.5.

    Each is the sum of four uniform numbers (the Irwin-Hall distribution, centred and scaled).
    """
    sums: Floats = draw_uniform_series(4 * count, *words).reshape(count, 4).sum(axis=1)
    return np.asarray((sums - 2.0) * 3.0**0.5)


def _join_words(*words: object) -> bytes:
    return "|".join(map(str, words)).encode()


def _hash_words(*words: object) -> bytes:
    return blake2b(_join_words(*words), digest_size=16).digest()
