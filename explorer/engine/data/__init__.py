"""What a run learns from, and on which device: the lowest folder of the engine.

Read in this order:

- `datasets`: `Images` and `Split`, the registered data sets, an epoch's batches.
- `tensor_checks`: what pixels and labels must be; whatever is not ends in an error when it is loaded.
- `dataset_info`: a data set's size, shape and classes, without its images; the steps of an epoch.
- `random`: the images' order, a generator for each purpose, torch's global numbers isolated.
- `device`: "auto", "cpu", "cuda"; TF32.

To add a data set, register a function in `datasets` that returns its training and its test `Images`. Its
sizes, shape and classes stand beside its name, or are measured.
"""
