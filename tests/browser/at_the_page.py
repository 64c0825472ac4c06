"""What a person does at an explorer on the page, and sees of it."""

from lab_server import PATIENCE

CANVAS = ".explorer-chart:not([hidden]) canvas.marks"
BRISK = "brisk = ex.Experiment(epochs={}, batch_size=128, lr=0.4)"  # a second, and 97 %
STATE = ".explorer-fact-state b"
NOW = """() => ({
  state: document.querySelector(".explorer-fact-state b").textContent,
  accuracy: parseFloat(document.querySelector(".explorer-fact-accuracy b").textContent),
  sparsity: parseFloat(document.querySelector(".explorer-fact-sparsity b").textContent),
})"""


def expect(locator):
    """What Playwright expects, as patient as all other waits; imported late, as Playwright may be missing."""
    from playwright import sync_api

    sync_api.expect.set_options(timeout=PATIENCE)
    return sync_api.expect(locator)


def press(notebook, name):
    notebook.locator(f".explorer-{name}").click()


def choose(notebook, tab):
    """Clicks on a tab and waits until its charts are painted."""
    notebook.locator(f".explorer-tab-{tab}").click()
    tag = notebook.value("e._tag")
    notebook.until("(tag) => Number(document.querySelector('.explorer-charts').dataset.tag) >= tag", tag)
    notebook.until_at_rest()


def unfold(notebook, group):
    """Opens a group of controls."""
    notebook.locator(f".explorer-group-{group} .explorer-group-head[aria-expanded=false]").click()
    notebook.locator(f".explorer-group-{group} .explorer-group-head[aria-expanded=true]").wait_for()


def until_state(notebook, state):
    notebook.locator(f"{STATE}:text-is('{state}')").wait_for()


def train(notebook):
    """Trains from the beginning to the end, which may come before anyone has seen it train."""
    notebook.run("e.session.call(lambda trainer: setattr(trainer, 'old', True)).result()")
    press(notebook, "train")
    notebook.until_kernel("e.session.call(lambda t: t.done and not hasattr(t, 'old')).result()")
    until_state(notebook, "done")


def grab(notebook):
    """Takes hold of the threshold's knob with the mouse; returns where it is held."""
    notebook.until_at_rest()
    knob = notebook.locator(".explorer-threshold:visible .noUi-handle")
    knob.hover()  # waits until the page has stopped moving
    box = knob.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    notebook.page.mouse.move(x, y)
    notebook.page.mouse.down()
    return x, y


def step_of(notebook):
    return notebook.value("e.session.call(lambda trainer: trainer.step).result()")
