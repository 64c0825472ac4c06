"""What can be seen of a network and its masks without training it; everything here is only read by others.

`sparsity_curve`   the accuracy of the weights as they are at many thresholds
`threshold_units`  converts a threshold: sparsity, score, k · std, k · mean, compression
`mask_stats`       what a mask leaves of each unit, pixel and block of a layer, and which units are dead
`predictions`      what networks say of many images, of one, and of a drawing
`memory_estimate`  the bytes that a stack will take at its peak, before it is built

To add an analysis, write a file of functions that take a `LaneView` and tensors; only what follows a run
needs a `Trainer`.
"""
