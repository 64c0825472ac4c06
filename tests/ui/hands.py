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
    explorer._controls[name].widget.value = value


def told(explorer):
    return explorer._error.value


def settled(explorer):
    """Waits until the worker has drawn what was asked for; returns the tab that is shown."""
    explorer.session.call(id).result(PATIENCE)
    return tab_of(explorer, explorer.tab)


def tab_of(explorer, name):
    """A tab by its name, shown or not."""
    return explorer._gallery.tabs[name]


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


def let_go(explorer, share):
    """What the page sends when the threshold's slider is dragged to a value and let go."""
    explorer._threshold.hear("grab", [explorer._threshold.share.value, explorer._threshold.score.value])
    explorer._threshold.share.value = 100 * share
    explorer._threshold.hear("release", [100 * share, explorer._threshold.score.value])
