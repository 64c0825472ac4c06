"""Selection is exact: k fall, the lowest scores first, and among ties the lowest index."""

import pytest
import torch

import explorer as ex
from explorer.engine.pruning import masking
from explorer.engine.pruning.resolved import resolve


def reference(scores, k):
    """What a stable sort says; slow and plain."""
    keep = torch.ones(len(scores), dtype=torch.bool)
    keep[torch.argsort(scores, stable=True)[:k]] = False
    return keep


def scores_of(kind, n=24):
    torch.manual_seed(0)
    return {
        "distinct": torch.randperm(n).double(),
        "all tied": torch.full((n,), 0.5),
        "half tied": torch.cat([torch.zeros(n // 2), torch.arange(1.0, n // 2 + 1)])[torch.randperm(n)],
        "few values": torch.randint(3, (n,)).float(),
        "signed": torch.randint(-2, 3, (n,)).float(),
        "with the dead": torch.randint(3, (n,)).float().masked_fill(torch.rand(n) < 0.4, masking.PRUNED),
        "all dead": torch.full((n,), masking.PRUNED),
    }[kind]


KINDS = ["distinct", "all tied", "half tied", "few values", "signed", "with the dead", "all dead"]


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_k_fall_for_every_k(kind):
    scores = scores_of(kind)
    for k in range(len(scores) + 1):
        keep = masking.keep_highest(scores, k)
        assert int((~keep).sum()) == k
        assert torch.equal(keep, reference(scores, k))


def test_random_inputs_equal_a_stable_sort():
    torch.manual_seed(1)
    for _ in range(200):
        n = int(torch.randint(1, 60, ()))
        scores = (torch.randn(n) * int(torch.randint(1, 20, ()))).round()
        k = int(torch.randint(0, n + 1, ()))
        assert torch.equal(masking.keep_highest(scores, k), reference(scores, k))


def test_among_ties_the_lowest_index_falls_first():
    assert masking.keep_highest(torch.tensor([2.0, 1.0, 1.0, 1.0, 0.0]), 3).tolist() == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_large_inputs_are_counted_exactly():
    scores = torch.rand(200_003)  # float32 has many ties at this size
    for k in (1, 100_001, 200_002):
        assert int((~masking.keep_highest(scores, k)).sum()) == k


def select(scores, pruning, threshold, alive):
    """Which units stay of layers that have a weight a unit."""
    shapes = [torch.Size([len(s)]) for s in scores]
    return resolve(pruning).select_units(scores, threshold, alive, shapes=shapes, std_values=scores)


def layers(*sizes):
    torch.manual_seed(2)
    return [torch.rand(size) for size in sizes], [torch.ones(size, dtype=torch.bool) for size in sizes]


@pytest.mark.parametrize("threshold", [0, 0.001, 0.25, 0.5, 0.9, 0.999])
def test_global_prunes_round_of_the_whole(threshold):
    scores, alive = layers(7, 31, 13)
    kept = select(scores, ex.Pruning(threshold=threshold), threshold, alive)
    fell = [int((~u).sum()) for u in kept.units]
    assert sum(fell) == round(threshold * 51)
    flat = torch.cat(kept.units)
    assert torch.equal(flat, reference(torch.cat(scores), sum(fell)))


@pytest.mark.parametrize("threshold", [0, 0.1, 0.5, 0.9, 0.999])
def test_uniform_prunes_the_same_share_of_each_layer(threshold):
    scores, alive = layers(7, 30, 13)
    pruning = ex.Pruning(threshold=threshold, allocation="uniform")
    kept = select(scores, pruning, threshold, alive)
    for s, u in zip(scores, kept.units, strict=True):
        assert torch.equal(u, reference(s, round(threshold * len(s))))


def test_global_ties_fall_in_module_order():
    scores = [torch.ones(3), torch.ones(3)]
    alive = [torch.ones(3, dtype=torch.bool)] * 2
    kept = select(scores, ex.Pruning(threshold=0.5), 0.5, alive)
    assert [u.tolist() for u in kept.units] == [[False] * 3, [True] * 3]


def test_score_unit_prunes_what_is_strictly_less():
    scores = [torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.5, 0.4999])]
    alive = [torch.ones(3, dtype=torch.bool), torch.ones(2, dtype=torch.bool)]
    kept = select(scores, ex.Pruning(unit="score", threshold=0.5), 0.5, alive)
    assert [u.tolist() for u in kept.units] == [[False, True, True], [True, False]]
    assert kept.cutoffs == [0.5, 0.5]


def test_score_unit_can_prune_all_or_nothing():
    scores, alive = layers(4)
    for threshold, left in ((0, 4), (1.0, 0)):
        kept = select(scores, ex.Pruning(unit="score"), threshold, alive)
        assert int(kept.units[0].sum()) == left


@pytest.mark.parametrize("unit", ["sparsity", "score"])
def test_pruned_units_stay_pruned_and_count(unit):
    scores = [torch.tensor([9.0, 8.0, 3.0, 2.0, 1.0])]
    alive = [torch.tensor([False, True, True, True, True])]  # the strongest one fell before
    pruning = ex.Pruning(unit=unit, threshold=0.4 if unit == "sparsity" else 1.5)
    kept = select(scores, pruning, pruning.threshold, alive)
    assert kept.units[0].tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(("unit", "threshold"), [("sparsity", 1 / 3), ("score", 0)])
def test_the_dead_come_before_living_units_that_score_zero(unit, threshold):
    scores, alive = [torch.tensor([0.0, 0.0, 9.0])], [torch.tensor([True, True, False])]
    kept = select(scores, ex.Pruning(unit=unit, threshold=threshold), threshold, alive)
    assert kept.units[0].tolist() == [True, True, False]


def test_twice_the_same_share_prunes_no_more():
    """0.2 twice is 20 % here, not 36 %."""
    scores, alive = layers(100)
    pruning = ex.Pruning(threshold=0.2)
    once = select(scores, pruning, 0.2, alive)
    twice = select(scores, pruning, 0.2, once.units)
    assert torch.equal(once.units[0], twice.units[0])


def test_the_cutoff_parts_the_kept_from_the_fallen():
    scores, alive = layers(20, 30)
    for allocation in ("global", "uniform"):
        kept = select(scores, ex.Pruning(allocation=allocation), 0.6, alive)
        for s, u, cut in zip(scores, kept.units, kept.cutoffs, strict=True):
            assert s[u].min() >= cut
            assert s[~u].max() <= cut


def test_neurons_are_scored_by_the_length_of_their_incoming_scores():
    values = torch.tensor([[[3.0, 4.0], [0.0, 1.0], [1.0, 1.0]]])
    for norm, expected in ((2, [5.0, 1.0, 2**0.5]), (1, [7.0, 1.0, 2.0])):
        uniform = ex.Pruning(granularity="neuron", allocation="uniform", options={"norm": norm})
        assert resolve(uniform).unit_scores([values], [1])[0].tolist() == pytest.approx(expected)
        pooled = ex.Pruning(granularity="neuron", allocation="global", options={"norm": norm})
        assert resolve(pooled).unit_scores([values], [1])[0].tolist() == pytest.approx(
            [e / 2**0.5 for e in expected]
        )


def test_scores_of_whole_units_are_taken_as_they_are():
    pruning = ex.Pruning(criterion="activity", granularity="neuron")
    assert resolve(pruning).unit_scores([torch.tensor([[1.0, 2.0]])], [1])[0].tolist() == [1.0, 2.0]


def test_masks_have_the_shape_of_the_weights():
    keep = torch.tensor([True, False, True])
    rows = resolve(ex.Pruning(granularity="neuron")).expand([keep], [torch.Size((3, 2, 2, 2))], [1])[0]
    assert rows.shape == (3, 2, 2, 2)
    assert rows.flatten(1).all(1).tolist() == rows.flatten(1).any(1).tolist() == [True, False, True]
    single = resolve(ex.Pruning()).expand([torch.arange(6) % 2 == 0], [torch.Size((2, 3))], [1])[0]
    assert single.tolist() == [[True, False, True], [False, True, False]]
