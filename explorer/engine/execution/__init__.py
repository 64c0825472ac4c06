"""How the steps of a stack are run, by the fastest of three ways.

Read in this order:

- `setup`: what the runs of a stack share and never change: network, images, recipe, device.
- `step`: one eager step, and what it works on: `RowGroup`, `Stepper`.
- `clipping`: clip rules bound to rows of the gradient, with what they remember.
- `executor`: which way a chunk of steps goes, its batches, and how rows are evaluated.
- `interrupts`: Ctrl-C, put off to where nothing is half done.
- `cuda_graphs`: many steps captured once and replayed, on a GPU.
- `numba_steps`: many steps as machine code, on a CPU; says which experiments it supports.
- `kernel_calls`: what Python calls of it, each call held to sizes that fit.
- `numba_kernels`, `kernel_layout`, `llvm_vectors`: the machine code, how its arrays lie in memory, and the
  vector instructions that numba has no word for; `kernel_loader` loads it where numba is there.

To add a clip rule, write a function in `explorer/methods/clipping.py`; only where it needs a quantity that no
rule has asked for, `clipping` here and `OFFERED` in `explorer/traits.py` learn its name. To compile another
loss or rule, begin at `numba_steps`.
"""
