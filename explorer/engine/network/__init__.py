"""The network's arithmetic on rows: every run is a row of one matrix `theta` [L, P].

Read in this order:

- `layout`: parameter <-> columns of the matrix: `ParameterSlice`, `Layer`, `Layout`.
- `models`: the zoo: factories of ordinary `nn.Module`s.
- `losses`: value and gradient of a loss in one pass; which class is predicted.
- `optimizers`: row-wise updates.
- `forward_backward`: `Network`: logits and gradients of all rows, by hand or by autograd; evaluation.
- `state`: `State`, all that a step changes; `LaneView`, one row of it; the hyperparameters of each row.
- `batch_norm`: running statistics, taken anew after pruning.
- `dependencies`: which layers read a layer's units, and which batch norm stands behind them.

To add a model, a loss or an optimizer, register a function in the file of that name.
"""
