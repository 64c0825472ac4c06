"""What the benchmark times does the same work: the same weights, from the same first ones."""

import importlib

import agreement
import numpy as np
import pytest
import torch
from peers import articles, explorer_peer, limit, resident, torch_prune
from peers.work import Work

from explorer.engine.data.random import shuffled_indices
from explorer.engine.execution.step import Stepper


@pytest.fixture
def work(tiny):
    """Three steps, the last on fewer images than a batch has."""

    def make(**fields):
        seed = tiny().seed
        return Work(dataset="tiny", batch=256, order=shuffled_indices(600, seed, 0).numpy(), **fields)

    return make


def trained(peer):
    peer.prepare()
    peer.train()
    first = peer.weights()
    peer.prepare()  # a second round begins where the first began
    peer.train()
    again = peer.weights()
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    return first


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert np.array_equal(found[name] == 0, value == 0), name
        np.testing.assert_allclose(found[name], value, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("make", [resident.resident, torch_prune.torch_prune])
def test_three_steps_give_the_explorers_weights(make, work):
    expected = trained(explorer_peer.stacked(work()))
    assert (expected["fc1.weight"] == 0).mean() == pytest.approx(0.9, abs=0.01)
    assert_same(trained(make(work())), expected)


@pytest.mark.slow  # JAX alone takes seconds to load and to compile
@pytest.mark.parametrize("outputs_first", [True, False])
@pytest.mark.parametrize(("lanes", "mapped"), [(1, False), (3, False), (3, True)])
def test_three_steps_of_jax_give_the_explorers_weights(lanes, mapped, outputs_first, work):
    pytest.importorskip("jax", reason="JAX is a peer of the benchmark only: pip install -e '.[bench]'")
    jax_peer = importlib.import_module("peers.jax_peer")
    way = jax_peer.Way(outputs_first=outputs_first, mapped=mapped)
    expected = trained(explorer_peer.stacked(work(lanes=lanes)))
    assert_same(trained(jax_peer.jax_epochs(work(lanes=lanes), way)), expected)


def test_one_by_one_is_stacked(work):
    expected = trained(explorer_peer.stacked(work(lanes=3)))
    assert_same(trained(explorer_peer.one_by_one(work(lanes=3))), expected)


def test_another_width(work):
    assert_same(trained(resident.resident(work(hidden=32))), trained(explorer_peer.stacked(work(hidden=32))))


@pytest.mark.parametrize("lanes", [1, 3])
def test_the_limit_runs(lanes, work):
    peer = limit.matrix_products(work(lanes=lanes))
    peer.train()
    assert peer.weights() == {}


def test_the_articles_loop_runs(work, monkeypatch):
    from torchvision import datasets

    whole = datasets.MNIST

    def few(*args, **kwargs):
        return torch.utils.data.Subset(whole(*args, **kwargs), range(300))

    monkeypatch.setattr(datasets, "MNIST", few)
    peer = articles.articles(work())
    peer.prepare()
    peer.train()
    weights = peer.weights()["fc1.weight"][0]
    assert np.array_equal(weights != 0, work().masks[0]["fc1.weight"] != 0)


@pytest.mark.slow  # it trains a recipe four times
def test_agreement_is_told_from_disagreement(capsys, monkeypatch):
    assert agreement.recipe("default", {}, "cpu", 12)
    steps = Stepper.step
    monkeypatch.setattr(Stepper, "step", lambda self, *a, decay, **k: steps(self, *a, decay=2 * decay, **k))
    assert not agreement.recipe("default", {}, "cpu", 12)  # captured steps know no such error
    assert "not well" in capsys.readouterr().out
