"""Explorers that are shown, looked at from all sides and closed leave no listener or observer on the page."""

import pytest
from at_the_page import choose, press, until_state

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

# Counts what listens to the whole page, and what observes whichever part of it, while it does
WATCH = """() => {
  const live = (window.live = { listeners: new Set(), observers: new Set() });
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const keys = new Map(); // of functions
  const key = (target, type, hear, options) => {
    if (!keys.has(hear)) keys.set(hear, keys.size);
    const capture = typeof options === "object" ? options?.capture : options;
    return [target === window ? "window" : target.nodeName, type, keys.get(hear), Boolean(capture)].join();
  };
  const whole = (target) => [window, document, document.body, document.documentElement].includes(target);
  EventTarget.prototype.addEventListener = function (type, hear, options) {
    const target = this ?? window;
    if (whole(target) && hear && !options?.once) {
      const name = key(target, type, hear, options);
      live.listeners.add(name);
      options?.signal?.addEventListener("abort", () => live.listeners.delete(name));
    }
    return addEventListener.call(target, type, hear, options);
  };
  EventTarget.prototype.removeEventListener = function (type, hear, options) {
    const target = this ?? window;
    if (whole(target)) live.listeners.delete(key(target, type, hear, options));
    return removeEventListener.call(target, type, hear, options);
  };
  for (const kind of [MutationObserver, ResizeObserver, IntersectionObserver]) {
    const { observe, disconnect } = kind.prototype;
    kind.prototype.observe = function (...what) {
      live.observers.add(this);
      return observe.apply(this, what);
    };
    kind.prototype.disconnect = function () {
      live.observers.delete(this);
      return disconnect.apply(this);
    };
  }
}"""
COUNT = "() => [window.live.listeners.size, window.live.observers.size]"


def test_nothing_listens_any_more(opened, notebook):
    notebook.page.evaluate(WATCH)
    counts = []
    for _ in range(3):
        opened()
        press(notebook, "train")
        until_state(notebook, "done")
        for tab in notebook.value("list(e._gallery.tabs)"):
            choose(notebook, tab)
        before = notebook.page.evaluate(COUNT)
        notebook.run("e.close()")
        notebook.show("")
        notebook.locator(".explorer").wait_for(state="detached")
        counts.append(notebook.page.evaluate(COUNT))
        assert all(after < shown for after, shown in zip(counts[-1], before, strict=True))  # it counts
    notebook.reload()  # without the counting
    assert counts[2] == counts[0]  # the first one is JupyterLab's own warming up
