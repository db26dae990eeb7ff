"""Pseudo-random numbers and price walks by counters: any element alone, without those before it.

A number belongs to a seed, a stream and a place, and is computed from these three by SplitMix64's finalizer (Steele,
Lea and Flood, 2014). So one session of 11,000 tickers costs as much as 11,000 sessions of one ticker, the two agree
where they meet, and nothing has to be kept. All arithmetic is exact or correctly rounded: the same on any machine.
"""

import numpy as np
import numpy.typing as npt

from market_pipeline.sandbox.bar_arrays import Floats

Seeds = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

GOLDEN, STREAM = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
FIRST_MIX, SECOND_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

OCTAVES = range(0, 12, 2)
"""Logarithms (to the base 2) of the walk's periods in sessions: 1, 4, 16, 64, 256 and 1024."""

LONGEST = float(sum(2 ** (octave // 2) for octave in OCTAVES))
"""The walk's greatest distance from 0, in its steps."""

SQUARINGS = 10


def draw_uniforms(seeds: Seeds, stream: int, places: Places) -> Floats:
    """Return the number in [0, 1) of each seed and place (arrays of one shape) in a stream."""
    with np.errstate(over="ignore"):
        mixed = seeds + places.astype(np.uint64) * GOLDEN + np.uint64(stream) * STREAM
        mixed ^= mixed >> np.uint64(30)
        mixed *= FIRST_MIX
        mixed ^= mixed >> np.uint64(27)
        mixed *= SECOND_MIX
        mixed ^= mixed >> np.uint64(31)
    mixed >>= np.uint64(11)
    return mixed.astype(np.float64) * 2.0**-53


def draw_bells(seeds: Seeds, stream: int, places: Places) -> Floats:
    """Return bell-shaped numbers with mean 0 and variance 1, none beyond 3; they use three streams from `stream` on."""
    total = draw_uniforms(seeds, stream, places)
    for more in (1, 2):
        total += draw_uniforms(seeds, stream + more, places)
    return (total - 1.5) * 2.0


def walk(seeds: Seeds, stream: int, places: Places) -> Floats:
    """Return each seed's walk at a place: steps of about 1 a session, never further than LONGEST from 0.

    It is a sum of noises of growing period and height, each drawn at the period's bounds and linear between them; this
    resembles a random walk. It uses six streams from `stream` on.
    """
    total = np.zeros(len(places))
    for number, octave in enumerate(OCTAVES):
        before = places >> octave
        share = (places - (before << octave)) * 2.0**-octave
        start, end = (draw_uniforms(seeds, stream + number, bound) for bound in (before, before + 1))
        total += 2.0 ** (octave // 2) * (2.0 * (start + (end - start) * share) - 1.0)
    return total


def grow(exponents: Floats) -> Floats:
    """Return about e to the power of each number by multiplications alone, whose results every machine agrees on."""
    result = 1.0 + exponents * 2.0**-SQUARINGS
    for _ in range(SQUARINGS):
        result *= result
    return result
