"""What hands do at an explorer, and what eyes see of it."""

PATIENCE = 120  # seconds; whatever takes this long has failed, on the busiest machine too
ENDLESS = 10_000  # epochs, a minute at least: nobody waits for their end; each costs a little at the start
# Another value for each control, and what the Experiment's field is then
MOVES = {
    "dataset": ("mnist", {"dataset": "mnist"}),
    "normalise": (False, {"normalise": False}),
    "validation": (50, {"validation": 50}),
    "seed": (7, {"seed": 7}),
    "begin_epoch": ("0.25", {"pruning.begin_epoch": 0.25}),
    "lr_decay": ("cosine", {"lr_decay": "cosine"}),
    "batch_size": (64, {"batch_size": 64}),
    "weight_decay": (1e-4, {"weight_decay": 1e-4}),
    "l1": (1e-5, {"l1": 1e-5}),
    "model": ("lenet-300-100", {"model": "lenet-300-100"}),
    "loss": ("mse", {"loss": "mse"}),
    "criterion": ("random", {"pruning.criterion": "random"}),
    "granularity": ("neuron", {"pruning.granularity": "neuron"}),
    "allocation": ("uniform", {"pruning.allocation": "uniform"}),
    "schedule": ("every-step", {"pruning.schedule": "every-step"}),
    "rule": ("value", {"clipping.rule": "value"}),
    "max_norm": (0.5, {"clipping.max_norm": 0.5}),
    "optimizer": ("momentum", {"momentum": 0.9}),
    "lr": (0.02, {"lr": 0.02}),
    "epochs": (5, {"epochs": 5}),
}


def move(explorer, name, value):
    explorer.controls[name].value = value


def told(explorer):
    return explorer.controls["error"].value


def settled(explorer):
    """Waits until the worker has drawn what was asked for; returns the tab that is shown."""
    explorer.session.call(id).result(PATIENCE)
    return explorer.tabs[explorer.tab]


def well(explorer):
    """The same, and nothing went wrong."""
    tab = settled(explorer)
    assert told(explorer) == ""
    return tab


def chart_data(explorer, chart):
    """What a chart on the page shows, by dataset; Altair's check of every row would take longest."""
    return explorer._chart.chart(chart).to_dict(validate=False)["datasets"]


def page_says(widget, content, *buffers):
    """What a widget hears when the page sends it a message."""
    widget._handle_custom_msg(content, [*buffers])


def inside(widget):
    return [widget, *(found for child in getattr(widget, "children", ()) for found in inside(child))]


def by_class(explorer, name):
    return [each for each in inside(explorer) if f"explorer-{name}" in getattr(each, "_dom_classes", ())]


def grab(explorer):
    """What the page sends when the threshold's slider is taken hold of."""
    slider_says(explorer, "grab")


def release(explorer, percent):
    """What the page sends when it is let go at a value."""
    slider_says(explorer, "release", share=percent)


def slider_says(explorer, what, **values):
    present = {name: getattr(explorer._threshold, name).value for name in ("share", "score")}
    explorer._threshold.on_page_event(what, list({**present, **values}.values()))


def let_go(explorer, share):
    """Drags the threshold's slider to a value and lets it go there."""
    grab(explorer)
    explorer.controls["threshold"].value = 100 * share
    release(explorer, 100 * share)


def tab_of(explorer, name):
    """A tab by its name, shown or not."""
    return explorer.tabs[name]
