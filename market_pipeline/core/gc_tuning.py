"""How often Python looks for garbage: seldom while a process starts, which makes thousands of objects that stay.

By itself it looks through all of them again and again, and once more when the process ends: together a third of a short
command's time.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (100_000, 20, 20)
"""After how many new objects it looks at the new ones, and after how many such looks at older ones."""


def collect_seldom() -> None:
    """Have it look seldom from now on, and not at all once the process ends, as suits one that does so soon."""
    gc.set_threshold(*SELDOM)
    atexit.register(gc.freeze)


@contextmanager
def frozen_after() -> Iterator[None]:
    """Have it look seldom for a while, and never again at what is there in the end."""
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*before)
