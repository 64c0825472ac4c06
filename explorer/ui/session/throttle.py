"""Throttle: when costly work is due again, a picture, a frame or an evaluation."""

import math
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Throttle:
    """Work is due at once where its key changes, and after a pause where what it shows has merely drifted.

    Args:
        seconds: the pause after each piece of work, at least.
        share: the part of the time that may go into the work, so that costly work pauses longer.
        clock: seconds from anywhere on.
    """

    def __init__(
        self, seconds: float = 0.0, share: float = math.inf, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._seconds, self._share, self._clock = seconds, share, clock
        self._last: tuple[Hashable, Hashable] | None = None  # key and drift of the last work
        self._end = self._cost = 0.0

    @property
    def resting(self) -> bool:
        """Whether the pause after the last work still lasts."""
        pause = max(self._seconds, self._cost / self._share)
        return self._last is not None and self._clock() - self._end < pause

    def due(self, key: Hashable, drift: Hashable = None, *, pause: bool = True) -> bool:
        """Return whether to work: another `key`, or another `drift` after the pause or without one."""
        if self._last is None or self._last[0] != key:
            return True
        return self._last[1] != drift and not (pause and self.resting)

    @contextmanager
    def work(self, key: Hashable = None, drift: Hashable = None) -> Iterator[None]:
        """Time the work that the block does; where it fails, it is due as before."""
        started = self._clock()
        yield
        self.record(self._clock() - started, key, drift)

    def record(self, cost: float, key: Hashable = None, drift: Hashable = None) -> None:
        """Begin the pause after work of so many seconds that was done for a key."""
        self._last, self._end, self._cost = (key, drift), self._clock(), cost

    def restart(self) -> None:
        """Begin the last pause anew: the same has just been done elsewhere, whatever that cost."""
        self.record(self._cost)

    def reset(self) -> None:
        """Make the next work due at once."""
        self._last = None
