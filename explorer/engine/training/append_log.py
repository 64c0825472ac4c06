"""Append-only logs: what only grows and is copied often. A copy shares what is there, however much that is.

A plain list would be copied whole for each moment that a live run keeps, and the garbage collector would walk
through every copy: after minutes of training that took longer than the training.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Measured = npt.NDArray[np.float64]


class AppendLog(Sequence[T]):
    """Rows to read like a list's, and to add to.

    Args:
        rows: the first ones.
    """

    def __init__(self, rows: Iterable[T] = ()) -> None:
        # None is ever changed, as copies share them; each is at least twice as long as the next
        self._parts: list[Any] = []
        self.extend(rows)

    def extend(self, rows: Iterable[T]) -> None:
        """Add rows at the end."""
        part, parts = self._part(rows), self._parts
        if not len(part):
            return
        parts.append(part)
        while len(parts) > 1 and len(parts[-2]) < 2 * len(parts[-1]) and self._joinable(*parts[-2:]):
            parts[-2:] = [self._join(*parts[-2:])]

    def append(self, row: T) -> None:
        """Add one."""
        self.extend([row])

    def __iadd__(self, rows: Iterable[T]) -> Self:
        self.extend(rows)
        return self

    def copy(self) -> Self:
        """Return the rows so far: what is added later, here or there, the other does not have."""
        copy = type(self)()
        copy._parts = list(self._parts)
        return copy

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._parts)

    def __reversed__(self) -> Iterator[T]:
        return chain.from_iterable(map(reversed, reversed(self._parts)))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return list(self)[index]
        place = index + len(self) if index < 0 else index
        for part in self._parts:
            if 0 <= place < len(part):
                row: T = part[place]
                return row
            place -= len(part)
        raise IndexError(f"row {index} of {len(self)}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def _part(self, rows: Iterable[T]) -> Any:
        return list(rows)

    def _joinable(self, _one: Any, _other: Any) -> bool:
        """Whether two parts may be joined."""
        return True

    def _join(self, one: Any, other: Any) -> Any:
        return one + other


class StepLog(AppendLog[Measured]):
    """What each step measured, double [measures, L]: loss, norm, clipped norm and whether the clip bound.

    Where a clip rule is sparse, the number of entries sent comes fifth. From one moment on there may be more
    measures, or lanes.
    """

    def series(self, lane: int, measure: int, start: int = 0, every: int = 1) -> Measured:
        """Return one number of each step, or of each `every`-th, from a step on, [steps].

        A lane that came later was one with the last before. Steps that lack the measure are left out.
        """
        parts, begin = [np.empty(0)], 0
        for part in self._parts:
            first = start - begin if begin < start else (start - begin) % every
            if measure < part.shape[1]:
                parts.append(part[first::every, measure, min(lane, part.shape[2] - 1)])
            begin += len(part)
        return np.concatenate(parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StepLog) or len(self) != len(other):
            return False
        return all(np.array_equal(one, its) for one, its in zip(self, other, strict=True))

    __hash__ = None

    def _part(self, rows: Iterable[Measured]) -> Measured:
        return np.asarray(rows, np.float64)

    def _joinable(self, one: Measured, other: Measured) -> bool:
        return one.shape[1:] == other.shape[1:]

    def _join(self, one: Measured, other: Measured) -> Measured:
        return np.concatenate([one, other])
