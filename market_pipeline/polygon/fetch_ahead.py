"""Work ahead: a function's results in order, while threads work on the next ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from market_pipeline.core import stop_signals

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Yield the function's result of each item, in order, while `ahead` threads work on the next ones.

    Raises:
        Interrupted: the command received a signal to stop.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(ahead, thread_name_prefix="market")
    try:
        for item in items:
            stop_signals.check()
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            stop_signals.check()
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
