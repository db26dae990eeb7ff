"""The C library's allocator: give large arrays back to the system as soon as they are freed."""

import ctypes
import sys

_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3  # <malloc.h> of glibc
_MAPPED_FROM = 256 * 1024


def return_large_arrays() -> None:
    """Have glibc map each large array on its own, and use few arenas; do nothing with another C library.

    Otherwise it learns from the first large arrays to keep them, in an arena per thread: a process that loads a market
    block by block then holds 130 MB that it doesn't use.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
            mallopt(_M_ARENA_MAX, 2)
