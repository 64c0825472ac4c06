"""Guard: what the page calls runs one after the other, and what goes wrong in it is told on the page."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import ipywidgets as w

Callback = Callable[[Any], object]


class Guard:
    """Wraps callbacks of widgets: they run one at a time, and their errors are told in `error_box`.

    What code does to a widget calls its callbacks as a hand would; under `muted` they are not called.

    Args:
        on_error: called after an error was told, to put the controls back.
        on_warning: called with the text of a callback's first warning.
    """

    def __init__(self, on_error: Callable[[], object], on_warning: Callable[[str], object]) -> None:
        self.error_box = w.HTML().add_class("explorer-error")
        self.lock = threading.RLock()  # callbacks come on several threads
        self._on_error, self._on_warning = on_error, on_warning
        self._thread = threading.local()  # `muted` in a thread whose code moves widgets

    def wrap(self, callback: Callback) -> Callable[[Any], None]:
        """Return a callback that tells its errors and warnings, where a log would lose them."""

        def wrapped(event: Any) -> None:
            if getattr(self._thread, "muted", False):
                return  # before the lock is taken: who holds it may wait for this very thread
            with self.lock:
                try:
                    with warnings.catch_warnings(record=True) as remarks:
                        warnings.simplefilter("always")
                        callback(event)
                except Exception as error:  # noqa: BLE001  whatever it is, the person at the slider must see it
                    self.tell(error)
                    self._on_error()
                else:
                    self.clear()
                    if remarks:
                        self._on_warning(str(remarks[0].message))

        return wrapped

    @contextmanager
    def muted(self) -> Iterator[None]:
        """While it lasts, what this thread does to widgets is not heard; other threads are."""
        before = getattr(self._thread, "muted", False)
        self._thread.muted = True
        try:
            yield
        finally:
            self._thread.muted = before

    def tell(self, error: Exception | str) -> None:
        """Tell an error."""
        self.error_box.value = alert(error)

    def clear(self) -> None:
        """Take the last error away."""
        self.error_box.value = ""


def alert(error: Exception | str) -> str:
    """Return an error as HTML, with what to do where it is none of the user's."""
    text = str(error).rstrip(".")
    if isinstance(error, str | ValueError):
        return f'<div role="alert">{escape(text)}.</div>'
    named = ": ".join(filter(None, [type(error).__name__, text]))
    advice = "Press Reset; if it comes again, please report it."
    return f'<div role="alert">{escape(named)}. {advice}</div>'
