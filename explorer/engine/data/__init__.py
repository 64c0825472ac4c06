"""What a run learns from, and on which device: the lowest folder of the engine, it imports no other.

In this order:

datasets   `Images` and `Split`, the registered data sets, an epoch's batches
random     numbers of a run's own: the images' order, a generator a purpose, torch's global ones isolated
device     "auto", "cpu", "cuda"; TF32

To add a data set, register a function in `datasets` that returns its training and its test `Images`.
"""
