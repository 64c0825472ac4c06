"""The machine: torch, numpy and the registry, no widgets and no figures. Every run is a row of one matrix.

A stack of L runs with P parameters each is `theta` [L, P]; gradients, masks and momentum have its shape. So
masking, clipping, updating and counting are one operation on rows, whatever the model, and a dense twin or a
sweep is the same code as one run.

The folders, in the order to read them; each imports only those before it, and its docstring is its own map:

data       images on a device and an epoch's batches; random numbers of a run's own; devices
network    models, where each parameter lies in the row, forward and backward, losses, optimizers, the state
pruning    what criteria may ask for, scores, masks; `ex.prune` for a module of the user's
execution  one step, clipping included, and many at once: CUDA graphs on a GPU, compiled kernels on a CPU
training   the loop, its events and records, going on from an earlier moment; `ex.train` and `Run`
analysis   what needs no training: accuracy over sparsity, a threshold in other units, counts over a mask

pruning and execution do not know each other. The methods themselves, pure functions of tensors, are in
`explorer.methods`.

Where do I ...

give a criterion another input?     pruning/score_inputs.py; a criterion asks for it by a parameter's name
add a clip rule?                    explorer/methods/clipping.py; its inputs are in execution/clipping.py
add a model?                        network/models.py
add a data set?                     data/datasets.py
add a loss or an optimizer?         network/losses.py, network/optimizers.py
change what one step does?          execution/step.py, and then the compiled kernels, or they must decline it
change the compiled kernels?        execution/numba_kernels.py; which runs they take: numba_steps.py
change what is captured on a GPU?   execution/cuda_graphs.py
record another metric?              training/metrics.py measures it, recorder.py has it written down
write another file of a run?        training/run.py
convert a threshold between units?  analysis/threshold_units.py
"""
