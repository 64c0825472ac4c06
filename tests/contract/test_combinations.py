"""Every pair of methods: in a combination that is trained, or refused with the reason."""

import re
from itertools import combinations, product

import pytest
import torch
from helpers import METHODS, NETS, eligible, experiment, pairwise, pruning, refusal

import explorer as ex
from explorer import registry
from explorer.engine.training.train import run_of
from explorer.engine.training.trainer import Trainer

COMBINATIONS = pairwise()


def trained(exp):
    """The trainer at its end, and its run."""
    trainer = Trainer([exp], "cpu", torch.float64)
    for _ in trainer.run():
        pass
    return trainer, run_of(trainer, "done")


@pytest.mark.parametrize(
    "chosen",  # each fifth by default: the slow suite has the others
    [pytest.param(c, marks=pytest.mark.slow if i % 5 else ()) for i, c in enumerate(COMBINATIONS)],
    ids=lambda c: "-".join(c.values()),
)
def test_a_combination_trains_and_prunes_what_was_asked_for(small, chosen):
    exp = experiment(small, **chosen)
    trainer, run = trained(exp)
    assert run.status == "done"
    assert run.history["value"].is_finite().all()
    assert run.history["step"].max() == 12

    masks, decision, weights = run.masks, trainer.lanes[0].decision, run.model().state_dict()
    fill = torch.zeros_like(run.row) if decision.fill is None else decision.fill
    instead = trainer.network.layout.views(fill[None])
    for name, mask in masks.items():
        assert torch.equal(weights[name][~mask], instead[name][~mask])
    zeros, total = (sum(int(f(m)) for m in masks.values()) for f in (lambda m: (~m).sum(), torch.numel))
    assert run.summary["sparsity"] == pytest.approx(zeros / total, abs=1e-12)
    if exp.pruning.unit == "sparsity":
        assert fallen(exp, decision, masks) == asked(exp, decision)
    else:
        for scores, kept, cutoff in zip(decision.scores, decision.units, decision.cutoffs, strict=True):
            assert (scores[kept] >= cutoff).all()

    _, again = trained(exp)
    assert torch.equal(run.row, again.row)
    assert run.records == again.records


def fallen(exp, decision, masks):
    """How many units are pruned at the end; regrowth moves single weights after the verdict."""
    if registry.get("schedule", exp.pruning.schedule).traits.regrows:
        return sum(int((~m).sum()) for m in masks.values())
    return sum(int((~units).sum()) for units in decision.units)


def asked(exp, decision):
    sizes = [len(units) for units in decision.units]
    if exp.pruning.allocation == "uniform":
        return sum(round(exp.pruning.threshold * size) for size in sizes)
    return round(exp.pruning.threshold * sum(sizes))


def test_every_combination_can_be_written_down_and_read_back(small):
    for chosen in COMBINATIONS:
        exp = experiment(small, **chosen)
        for again in (ex.Experiment.from_json(exp.to_json()), eval(exp.code(), {"ex": ex}), exp.replace()):
            assert again == exp
            assert again.hash == exp.hash


REFUSED = re.compile(
    r"(?P<axis>\w+) = '(?P<name>[\w:-]+)' does not go with (?P<other>\w+) '(?P<value>[\w:-]+)'.*"
    r"; allowed: (?P<allowed>[\w:, -]+)$"
)


def test_what_no_combination_holds_is_refused_with_what_is_allowed():
    """Both sides are named, and what is said to be allowed is not refused for that reason again."""
    named = [[(axis, name) for name in registry.names(axis)] for axis in METHODS]
    pairs = {pair for one, other in combinations(named, 2) for pair in product(one, other)}
    left = pairs - {pair for chosen in COMBINATIONS for pair in combinations(chosen.items(), 2)}
    assert left
    defaults = ex.Pruning()
    for pair in left:
        error = refusal(dict(pair))
        assert error is not None, pair
        if isinstance(error, UserWarning):
            assert re.search(r"'\S+' has no effect with \w+ '\S+', .*; leave it out", str(error)), error
            continue
        told = REFUSED.search(str(error))
        assert told, error
        chosen = {axis: getattr(defaults, axis) for axis in METHODS} | dict(pair)
        assert (chosen[told["axis"]], chosen[told["other"]]) == (told["name"], told["value"])
        for name in told["allowed"].split(", "):
            again = REFUSED.search(str(refusal({**dict(pair), told["axis"]: name})))
            assert again is None or again.groupdict() | {"name": ""} != told.groupdict() | {"name": ""}


def test_what_the_net_has_nothing_of_is_refused_before_it_trains(small):
    """The message names the granularity and tells the layers that there are."""
    for name, net in product(registry.names("granularity"), NETS):
        exp = small(model=net, pruning=pruning({"granularity": name}))
        try:
            eligible(exp)
        except ValueError:
            with pytest.raises(ValueError, match=f"granularity = {name!r} .*; layers: "):
                Trainer([exp], "cpu")
        else:
            Trainer([exp], "cpu")
