"""What a run learns from, and on which device: the lowest folder of the engine.

Read in this order:

- `datasets`: `Images` and `Split`, the registered data sets, an epoch's batches.
- `random`: the images' order, a generator for each purpose, torch's global numbers isolated.
- `device`: "auto", "cpu", "cuda"; TF32.

To add a data set, register a function in `datasets` that returns its training and its test `Images`.
"""
