"""Shared by the contract tests: what a run's history says of one metric."""

import polars as pl

SIZES = {"fc1": 784 * 128, "fc2": 128 * 10}  # weights of the default model's layers


def steps_of(run, metric, layer=None):
    same = pl.col("layer").is_null() if layer is None else pl.col("layer") == layer
    return run.history.filter((pl.col("metric") == metric) & same)["step"].to_list()


def values_of(run, metric, layer=None):
    same = pl.col("layer").is_null() if layer is None else pl.col("layer") == layer
    found = run.history.filter((pl.col("metric") == metric) & same)
    return dict(zip(found["step"], found["value"], strict=True))
