"""Shared by the tests of sweeps: whether two came to the same."""

import torch


def assert_same(one, two):
    """On one thread to the bit: on a CPU the rows of a stack are computed one by one."""
    assert one.frame.drop("hash").equals(two.frame.drop("hash"))
    for a, b in zip(one.runs, two.runs, strict=True):
        assert torch.equal(a.row, b.row)
        assert torch.equal(a.dense.row, b.dense.row)
        assert a.records.history == b.records.history
    for study in (one, two):
        assert {run.summary["plan"] for run in study.runs} == {study.plan.kind}
