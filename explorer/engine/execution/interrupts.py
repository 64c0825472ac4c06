"""Puts Ctrl-C off while something is done that must not stop in the middle."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def defer_sigint(*, once: bool = False) -> Iterator[None]:
    """Put Ctrl-C off to the end: rows that stop in the middle would not be at the same step.

    Nor may an import or a compiler: what they leave half done fails for as long as the process lasts.

    Args:
        once: only the first, where it may take long; a second is heard at once.
    """
    ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not None
    )
    if not ours:
        yield
        return
    signals: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        signals.append((number, frame))
        if once and len(signals) > 1 and callable(before):
            before(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if signals and callable(before):
        before(*signals[0])
