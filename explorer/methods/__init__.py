"""The science: small pure functions of tensors, one file an axis, no I/O."""
