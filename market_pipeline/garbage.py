"""How often Python looks for garbage: seldom while a process starts, which makes thousands of objects that stay.

By itself it looks through all of them again and again: a tenth of a short command's time, a fifth of the definitions'.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (100_000, 20, 20)
"""After how many new objects it looks at the new ones, and after how many such looks at older ones."""


def collect_seldom() -> None:
    """Have it look seldom from now on, as suits a process that ends soon."""
    gc.set_threshold(*SELDOM)


@contextmanager
def made_to_stay() -> Iterator[None]:
    """Have it look seldom for a while, and never again at what is there in the end."""
    before = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*before)
