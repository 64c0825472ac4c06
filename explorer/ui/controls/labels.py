"""What controls are called on the page, and what stands under the mouse: the one place that names them."""

from explorer.registry import Method

CONTROLS = {  # label, tooltip
    "preset": ("Preset", "A recipe from an article or a paper, with what happens in it and why"),
    "dataset": ("Data set", "The images"),
    "normalise": (
        "Normalise",
        "Pixels less their mean, over their standard deviation; or 0 to 1, as the articles have it",
    ),
    "validation": (
        "Held out",
        "Training images held out to judge by; without them there is no accuracy curve",
    ),
    "model": ("Model", "The network that is trained and pruned"),
    "loss": ("Loss", "What training makes small"),
    "seed": ("Seed", "Decides the initial weights and the order of the images"),
    "device": ("Device", "Where training runs; auto takes a GPU where there is one"),
    "criterion": ("Method", "By which score weights or neurons are chosen"),
    "granularity": ("Granularity", "The unit that lives or dies together"),
    "allocation": ("Allocation", "How the budget spreads over the layers"),
    "unit": ("Unit", "What the threshold's number means"),
    "threshold": ("Threshold", "Drag to see what would fall; let go to prune and retrain"),
    "schedule": ("Schedule", "When pruning happens"),
    "begin_epoch": ("From epoch", "When the first prune event falls; empty leaves it to the schedule"),
    "end_epoch": ("To epoch", "When pruning is complete; empty leaves it to the schedule"),
    "rule": ("Clip rule", "How a gradient is bounded before the optimizer sees it"),
    "max_norm": ("Clip norm", "The bound; it acts from the next step on, also while training"),
    "optimizer": ("Optimizer", "How the weights follow the gradient"),
    "lr": ("Learning rate", "Length of a step; it acts from the next step on, also while training"),
    "lr_decay": ("Decay", "How the learning rate falls over the training"),
    "epochs": ("Epochs", "Passes over the training images, fine-tuning included"),
    "batch_size": ("Batch size", "Images a step"),
    "weight_decay": ("Weight decay", "Pulls weights towards zero in proportion to their size (L2)"),
    "l1": (
        "L1 penalty",
        "Pulls weights towards zero by a constant, so that many come close to it",
    ),
}
LABELS = {name: label for name, (label, _) in CONTROLS.items()}

# What is not among these is an option of a method of the user's own.
OPTIONS = {
    "depth": "Hidden layers",
    "width": "Units a layer",
    "digit": "Digit",
    "spare_last": "Spare last layer",
    "norm": "Norm of a unit",
    "n": "n kept",
    "m": "of m weights",
    "shares": "Layer shares",
    "rounds": "Rounds",
    "tolerance": "Tolerance",
    "rewind_epoch": "Rewind epoch",
    "every": "Every (steps)",
    "margin": "Margin (× τ)",
    "drop": "Dropped share",
    "clipping": "Factor λ",
    "eps": "Least norm ε",
    "percentile": "Percentile",
    "k": "Kept share k",
    "error_feedback": "Error feedback",
    "tau": "Threshold τ",
    "rate": "Rate (× mean)",
}
CHOICES = {"norm": (("L1", 1), ("L2", 2))}


def option_label(option: str, method: Method | None = None) -> str:
    """Return what an option is called on the page; one of the user's own methods goes by its own name."""
    plain = option.replace("_", " ").capitalize()
    ours = method is None or method.function.__module__.startswith("explorer.")
    return OPTIONS.get(option, plain) if ours else plain


def option_tooltip(option: str, method: Method) -> str:
    """Return what to type for an option, and what its method does."""
    return f"{option}, an option of {method.name}\n{method.help}\n{method.formula}".strip()
