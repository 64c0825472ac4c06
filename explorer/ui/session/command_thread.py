"""A thread that carries out commands one after the other, and works on between them."""

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

Command = Callable[[], object]

CLOSED = "the session is closed; make a new one"


class CommandThread:
    """Starts with the first command; callers on any thread leave it commands and never wait for them.

    Args:
        name: of the thread.
        work: Does a piece of work where no command waits; returns False where there is nothing to do.
        on_start: Called first of all on the thread.
        on_error: Called with what a command or a piece of work raises; must not raise itself.
    """

    def __init__(
        self, name: str, work: Callable[[], bool], on_start: Command, on_error: Callable[[Exception], object]
    ) -> None:
        self.work = work
        self._name, self._on_start, self._on_error = name, on_start, on_error
        self._inbox: deque[Command] = deque()
        self._latest: dict[str, Command] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def post(self, command: Callable[..., object], *args: Any, wake: bool = True) -> None:
        """Leave a command; `wake=False` drops it where the thread is not there, as not worth starting it for.

        Raises:
            RuntimeError: where the thread has been closed.
        """
        with self._wake:
            if self._thread is None and not wake:
                return
            if self._closed:  # a timer of the page may still ask as it goes
                raise RuntimeError(CLOSED)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                _running.add(self)
                self._thread.start()
            self._inbox.append(partial(command, *args))
            self._wake.notify()

    def post_latest(self, kind: str, command: Callable[..., object], *args: Any) -> None:
        """Leave a command that is dropped where a later one of its kind waits behind it."""
        latest = self._latest[kind] = partial(command, *args)
        self.post(lambda: latest() if self._latest[kind] is latest else None)

    def close(self, last: Command) -> None:
        """Carry out the commands that wait and a last one, and end for good."""
        with self._wake:
            thread, self._thread, self._closed = self._thread, None, True
            self._inbox.append(last)
            self._wake.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _run(self) -> None:
        self._on_start()
        while True:
            try:
                if self._inbox:
                    self._inbox.popleft()()
                elif self._closed:
                    return
                elif not self.work():
                    with self._wake:
                        self._wake.wait_for(lambda: self._inbox or self._closed)
            except Exception as error:  # noqa: BLE001  whatever it is, the next command is carried out
                self._on_error(error)


_running: weakref.WeakSet[CommandThread] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """End all threads while Python is whole: torch aborts the process where it still computes behind that."""
    for thread in list(_running):
        thread.close(last=lambda: None)
