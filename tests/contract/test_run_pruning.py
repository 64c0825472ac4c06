"""What pruning does to a Run: when it happens, what falls with what, and how it is counted."""

import math

import pytest
import torch
from helpers import SIZES, values_of

import explorer as ex
from explorer.engine.pruning import unit_scores
from explorer.engine.training.trainer import Trainer


def test_pruning_at_initialisation_prunes_the_initial_weights(tiny):
    exp = tiny(pruning={"begin_epoch": 0, "threshold": 0.9})
    run = ex.train(exp, progress=False)
    module = ex.train(tiny(pruning=None, lr=1e-30), progress=False).model()
    for name, mask in ex.prune(module, exp.pruning).items():
        assert torch.equal(run.masks[name], mask)


def test_pruning_at_the_end_is_the_dense_run_with_zeros(tiny):
    exp = tiny(pruning={"begin_epoch": 1, "threshold": 0.9})
    run = ex.train(exp, progress=False)
    module = run.dense.model()
    ex.prune(module, exp.pruning)
    for ours, theirs in zip(run.model().parameters(), module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("single_steps")
def test_every_step_only_shrinks_masks_and_ends_at_its_end(tiny):
    pruning = {"schedule": "every-step", "unit": "score", "threshold": 0.01, "begin_epoch": 0.25}
    trainer = Trainer([tiny(pruning=pruning)], "cpu")
    last, counts = None, {}
    for _ in trainer.run():
        mask = trainer.state.mask
        if mask is not None:
            if last is not None:
                assert not (mask > last).any()
            last = mask.clone()
            counts[trainer.step] = int(mask.sum())
    assert min(counts) == 4
    assert counts[5] > counts[12]  # it goes on pruning
    assert len({counts[s] for s in range(12, 17)}) == 1  # default end: three quarters


def test_every_step_with_a_count_prunes_exactly_that(tiny):
    pruning = {"schedule": "every-step", "threshold": 0.75, "options": {"every": 3}}
    run = ex.train(tiny(pruning=pruning), progress=False)
    assert set(values_of(run, "sparsity").values()) == {0.75}


def test_a_schedule_without_a_single_event_is_refused(tiny):
    """Begin after the default end: it would train densely under the name of pruning."""
    with pytest.raises(ValueError, match=r"every-step.*begin_epoch.*end_epoch"):
        tiny(pruning={"schedule": "every-step", "begin_epoch": 0.9})
    with pytest.raises(ValueError, match=r"every-step.*begin_epoch.*end_epoch"):
        tiny(pruning={"schedule": "every-step", "end_epoch": 0})


@pytest.mark.parametrize("granularity", ["weight", "neuron"])
def test_sparsity_and_compression_count_prunable_weights(trained, granularity):
    run = trained(threshold=0.9, granularity=granularity)
    pruned = sum(int((~m).sum()) for m in run.masks.values())
    total = sum(SIZES.values())
    assert {n: m.shape for n, m in run.masks.items()} == {
        "fc1.weight": (128, 784),
        "fc2.weight": (10, 128),
    }
    assert run.summary["sparsity"] == pytest.approx(pruned / total, abs=1e-12)
    assert run.summary["compression"] == pytest.approx(total / (total - pruned), rel=1e-12)
    assert values_of(run, "sparsity")[16] == pytest.approx(pruned / total, abs=1e-12)
    for name, mask in run.masks.items():
        layer = name.partition(".")[0]
        share = float((~mask).double().mean())
        assert values_of(run, "sparsity", layer)[16] == pytest.approx(share, abs=1e-12)
    if granularity == "weight":
        assert pruned == round(0.9 * total)


def test_dense_runs_have_no_sparsity(tiny):
    run = ex.train(tiny(pruning=None), progress=False)
    assert run.dense is None
    assert run.summary["sparsity"] == 0
    assert run.summary["compression"] == 1
    assert all(mask.all() for mask in run.masks.values())
    assert run.summary["dense_test_accuracy"] == run.summary["test_accuracy"]


def test_pruning_everything_leaves_biases_and_says_so(trained):
    with pytest.warns(UserWarning, match=r"threshold = 1000\.0 leaves nothing of the whole network"):
        run = trained(threshold=1e3, unit="score")
    assert run.summary["sparsity"] == 1
    assert run.summary["compression"] == math.inf
    assert run.status == "done"
    model = run.model()
    assert not model.fc1.weight.any()
    assert model.fc2.bias.any()


def test_whole_neurons_lose_row_bias_and_outgoing_column(trained):
    run = trained(threshold=0.25, granularity="neuron")
    model, masks = run.model(), run.masks
    dead = ~masks["fc1.weight"].any(1)
    assert int(dead.sum()) == round(0.25 * 128)  # of the hidden neurons, not of the classes
    assert torch.equal(masks["fc1.weight"], ~dead.unsqueeze(1).expand(128, 784))
    assert torch.equal(masks["fc2.weight"], ~dead.unsqueeze(0).expand(10, 128))
    assert not model.fc1.weight[dead].any()
    assert not model.fc1.bias[dead].any()
    assert not model.fc2.weight[:, dead].any()
    assert model.fc1.bias[~dead].all()
    assert model.fc2.bias.all()


def test_neurons_of_two_hidden_layers(tiny):
    pruning = {"threshold": 0.5, "granularity": "neuron", "allocation": "uniform"}
    run = ex.train(tiny(model="lenet-300-100", pruning=pruning), progress=False)
    masks = run.masks
    dead1, dead2 = ~masks["fc1.weight"].any(1), ~masks["fc2.weight"].any(1)
    assert (int(dead1.sum()), int(dead2.sum())) == (150, 50)
    keep = ~dead2.unsqueeze(1) & ~dead1.unsqueeze(0)
    assert torch.equal(masks["fc2.weight"], keep)
    assert torch.equal(masks["fc3.weight"], ~dead2.unsqueeze(0).expand(10, 100))
    pruned = sum(int((~m).sum()) for m in masks.values())
    assert run.summary["sparsity"] == pytest.approx(pruned / (784 * 300 + 300 * 100 + 100 * 10), abs=1e-12)


def test_a_layer_that_is_gone_does_not_take_the_next_one_with_it(small, scratch_registry):
    """Neurons that read only fallen ones have no weights left, but nobody pruned them: exactly k fall."""

    @scratch_registry.register("criterion", "first-layer-first")
    def first_layer_first(weight):
        """What reads the 8 pixels falls before anything else."""
        return weight.abs() * (1e-6 if weight.shape[-1] == 8 else 1)

    pruning = {"criterion": "first-layer-first", "granularity": "neuron", "threshold": 0.7}
    pruning |= {"schedule": "iterative", "options": {"rounds": 2}}
    trainer = Trainer([small(pruning=pruning)], "cpu")
    for _ in trainer.run():
        pass
    first, second = trainer.lanes[0].decision.units
    assert not first.any()
    assert int((~second).sum()) == round(0.7 * 8) - 4


def test_rounds_of_scoring_end_on_the_share_itself(small):
    """1 − (1 − 0.175) is a little more than 0.175, and 10.5 of 60 weights are 10."""
    trainer = Trainer([small(pruning={"criterion": "synflow", "threshold": 0.175})], "cpu")
    for _ in trainer.run():
        pass
    assert trainer.sparsity(trainer.lanes[0]) == 10 / 60


def test_a_spliced_weight_comes_back_later_than_it_falls_whatever_its_sign():
    scores, kept = torch.tensor([-2.0, 3.0, 0.0, -2.0, 3.0]), torch.tensor([0, 0, 0, 1, 1]).bool()
    [back], [alive] = unit_scores.revive([scores], [kept], 1.5)
    assert back.tolist() == [-3.0, 2.0, 0.0, -2.0, 3.0]
    assert alive.all()
