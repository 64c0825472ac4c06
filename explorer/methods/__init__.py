"""The science: small pure functions of tensors, no I/O, one file an axis; the engine does the rest.

`criteria`                 what a weight or a unit is worth: scores, higher stays
`granularity`              the unit that lives or dies together: weight, neuron, filter, input, layer, n:m
`allocation`               how a budget of units spreads over the layers
`units`                    what the threshold's number means
`schedules`                when pruning happens, and how much of it
`clipping`                 clip rules: how a gradient is bounded
`gradient_sparsification`  clip rules that send only a part of the gradient
`lr_decay`                 how the learning rate falls
`compatibility`            which of all these go together, and what has no effect

To add a method, write one function under `@register(axis, name, **traits)` in the file of its axis: its
signature and docstring are its menu entry, its validation and its row in the README. Traits are told in
`explorer/traits.py`.
"""
