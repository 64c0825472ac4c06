"""What every registered method owes: it explains itself, and it treats each lane as if it were alone."""

from itertools import pairwise as neighbours

import pytest
import torch
from chosen import some
from helpers import NETS, TRAINING, allowed, experiment, values_of
from torch.nn.functional import cross_entropy

from explorer import registry
from explorer.engine.data.datasets import split
from explorer.engine.pruning.scoring import compute_inputs, score
from explorer.engine.training.train import runs_of
from explorer.engine.training.trainer import Trainer
from explorer.experiment import METHODS

ALL = [m for axis in registry.HOMES for m in registry.methods(axis)]
OPTIONS = [option for method in ALL for option in method.options.values()]
AXES = dict.fromkeys([*registry.SCIENCE, *METHODS, *TRAINING])  # those that a run can choose from
CHOICES = {f"{axis}-{m.name}": m for axis in AXES for m in registry.methods(axis)}
ENDS = {
    f"{axis}-{registry.names(axis)[i]}" for axis in AXES for i in (0, -1)
}  # the first and the last of each
LANES = 3


def named(method):
    return f"{getattr(method, 'axis', method)}-{method.name}"


every_criterion = pytest.mark.parametrize("name", registry.names("criterion"))
every_net = pytest.mark.parametrize("net", NETS)


# -- what a method says of itself -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL, ids=named)
def test_a_method_explains_itself(method):
    assert method.help.endswith(".")
    assert len(method.help) <= 110  # a tooltip is one line
    if method.axis in registry.SCIENCE:
        assert method.formula
        assert "https://" in method.reference


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: f"{o.method}-{o.name}")
def test_an_option_says_what_it_allows(option):
    """A range or choices, for the slider or the menu; its own default is among them."""
    values = allowed(option)
    assert values
    for value in values if option.required else [*values, option.default]:
        assert option.check(value) == value
    least = [min(values) - 1] if type(values[0]) in (int, float) else []
    for value in [*least, "much"]:
        with pytest.raises(ValueError, match=option.name):
            option.check(value)


def test_every_method_is_in_its_menu():
    from explorer.ui.controls import controls

    for axis in AXES:
        assert set(registry.names(axis)) <= set(controls.menu_names(axis))


# -- criteria and granularities as functions of lanes -----------------------------------------------------


def scene(small, name, net=NETS[0], seed=0):
    """What a criterion is computed from after three steps, and the layers' shapes."""
    exp = experiment(small, criterion=name).replace(model=net, seed=seed)
    trainer = Trainer([exp], "cpu", torch.float64)
    steps = trainer.run()
    while trainer.step < 3:
        next(steps)
    there = trainer.pruner.scoring_context(trainer.view(trainer.lanes[0]), exp, 3)
    return there, [layer.weight.shape for layer in trainer.network.layout.layers]


@every_net
@every_criterion
def test_scores_are_those_of_weights_or_units_and_are_told_by_the_seed(small, name, net):
    criterion = registry.get("criterion", name)
    there, shapes = scene(small, name, net)
    scores = score(criterion, there, {})
    whole = bool(criterion.traits.granularity)
    assert [s.shape for s in scores] == [(1, shape[0]) if whole else (1, *shape) for shape in shapes]
    assert all(values.dtype == torch.float64 and values.isfinite().all() for values in scores)
    assert any(len(values.unique()) > 1 for values in scores), "nothing to choose by"
    for values, again in zip(scores, score(criterion, scene(small, name, net)[0], {}), strict=True):
        assert torch.equal(values, again)


@every_criterion
def test_a_criterion_scores_a_stack_as_its_lanes_one_by_one(small, name):
    criterion = registry.get("criterion", name)
    found = [compute_inputs(criterion.needs, scene(small, name, seed=seed)[0]) for seed in range(LANES)]
    for layer in next(iter(found[0].values())):
        lanes = [[each[need][layer] for need in criterion.needs] for each in found]
        stacked = criterion(*(torch.stack(quantity) for quantity in zip(*lanes, strict=True)))
        for i, lane in enumerate(lanes):
            assert torch.equal(stacked[i], criterion(*(quantity[None] for quantity in lane))[0])


@pytest.mark.parametrize("shape", [(4, 8), (4, 4), (6, 4, 3, 3)], ids=str)
@pytest.mark.parametrize("name", registry.names("granularity"))
def test_a_granularity_reduces_a_stack_as_its_lanes_one_by_one(name, shape):
    granularity = registry.get("granularity", name)
    scores = torch.rand(LANES, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    units = granularity(scores)
    kept = units > units.median()
    masks = granularity.traits.expand(kept, scores.shape)
    assert units.dim() == 2
    assert masks.shape == scores.shape
    for i in range(LANES):
        assert torch.equal(units[i], granularity(scores[i : i + 1])[0])
        assert torch.equal(masks[i], granularity.traits.expand(kept[i : i + 1], scores[:1].shape)[0])
    assert torch.equal(granularity(masks.double()) > 0, kept)


# -- whole runs, side by side and alone -------------------------------------------------------------------


def trained(*lanes, together=None):
    trainer = Trainer(list(lanes), "cpu", torch.float64, together=together)
    for _ in trainer.run():
        pass
    return runs_of(trainer, "done")


@pytest.mark.parametrize("method", some(CHOICES, *ENDS))
def test_a_lane_is_not_changed_by_its_neighbours(small, method):
    """Whatever runs beside it, in whatever order, row by row or all in one product: within rounding."""
    exp = experiment(small, **{method.axis: method.name}).replace(weight_decay=1e-3, batch_size=12)
    bound = {"clipping.max_norm": 0.01} if exp.clipping.bounded else {}
    lanes = [exp, exp.dense(), exp.replace(bound, lr=0.03)]
    alone = [run for lane in lanes for run in trained(lane)]
    turned, together = trained(*reversed(lanes)), trained(*lanes, together=True)
    for one, *others in zip(alone, reversed(turned), together, strict=True):
        for run in others:
            torch.testing.assert_close(run.row, one.row, rtol=0, atol=1e-12)
            if one.experiment.pruning:  # the twin has a record at each event of the others
                assert torch.equal(run.keep, one.keep)
                assert run.records.events == one.records.events
                ours, theirs = ({r[:4]: r[4] for r in each.records.history} for each in (run, one))
                assert ours == pytest.approx(theirs, abs=1e-9)
    for one, other in neighbours(alone):
        assert not torch.equal(one.row, other.row)


# -- what is counted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", NETS)
def test_weights_and_biases_count_once_and_only_weights_are_prunable(small, net):
    """One step of one batch, clipped; its norms by autograd, its shares by hand."""
    pruning = {"threshold": 0.5, "begin_epoch": 0}
    exp = small(model=net, pruning=pruning, clipping={"max_norm": 0.1}, batch_size=35)
    [run] = trained(exp)
    masks, [start] = run.masks, trained(exp.replace(lr=1e-300))
    module = start.model()  # as it was when it had been pruned
    images = split(exp.dataset, torch.device("cpu"), exp.validation).train
    cross_entropy(module.train()(images.inputs(True, torch.float64)), images.labels).backward()
    for name, parameter in module.named_parameters():
        parameter.grad.mul_(masks.get(name, 1))
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}

    whole = float(torch.cat([g.flatten() for g in gradients.values()]).norm())
    assert values_of(run, "grad_norm")[1] == pytest.approx(whole, rel=1e-9)
    assert values_of(run, "clipped_grad_norm")[1] == pytest.approx(0.1 * whole / (whole + 1e-6), rel=1e-9)
    sizes = {name: mask.numel() for name, mask in masks.items()}
    assert sizes == {name: p.numel() for name, p in module.named_parameters() if p.dim() > 1}
    zeros = {name: int((~mask).sum()) for name, mask in masks.items()}
    assert sum(zeros.values()) == round(0.5 * sum(sizes.values()))
    assert run.summary["sparsity"] == sum(zeros.values()) / sum(sizes.values())
    for name, size in sizes.items():
        layer = name.removesuffix(".weight")
        assert values_of(run, "sparsity", layer)[1] == zeros[name] / size
        assert values_of(run, "grad_norm", layer)[1] == pytest.approx(float(gradients[name].norm()), rel=1e-9)
    biases = [p for name, p in run.model().named_parameters() if name not in masks]
    assert biases
    assert all(p.all() for p in biases)
