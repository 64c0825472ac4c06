"""The machine: torch, numpy and the registry, no widgets and no figures. Every run is a row of one matrix.

A stack of L runs with P parameters each is `theta` [L, P]; gradients, masks and momentum have its shape. So
masking, clipping, updating and counting are one operation on rows, whatever the model, and a dense twin or a
sweep is the same code as one run.

Read in this order; each folder imports only those before it, and its docstring is its own map:

- `data`: images on a device and an epoch's batches; random numbers of a run's own; devices.
- `network`: models, where a parameter lies in the row, losses, forward and backward, optimizers, the state.
- `pruning`: what criteria may ask for, scores, masks; `ex.prune` for a module of the user's.
- `execution`: one step, clipping included; many at once, as CUDA graphs or as compiled kernels on a CPU.
- `training`: the loop, its events and records, going on from an earlier moment; `ex.train` and `Run`.
- `analysis`: what needs no training: accuracy over sparsity, a threshold in other units, counts over a mask.

`pruning` and `execution` do not know each other. The methods themselves, pure functions of tensors, are in
`explorer.methods`.

Where do I ...

- give a criterion another input? `pruning/score_inputs.py`; a criterion asks for it by a parameter's name.
- add a clip rule? `explorer/methods/clipping.py`; what it may ask for is in `execution/clipping.py`.
- add a model, a loss, an optimizer? `network/models.py`, `losses.py`, `optimizers.py`.
- add a data set? `data/datasets.py`.
- change what one step does? `execution/step.py`, and then the compiled kernels, or they must decline it.
- change the compiled kernels? `execution/numba_kernels.py`; which runs they take is in `numba_steps.py`.
- change what is captured on a GPU? `execution/cuda_graphs.py`.
- record another metric? `training/metrics.py` measures it, `recorder.py` has it written down.
- write another file of a run? `training/run.py`.
- convert a threshold between units? `analysis/threshold_units.py`.
"""
