"""Granularities, worked by hand, and what falls with a unit in a network."""

import pytest
import torch
from chosen import some
from torch import nn

import explorer as ex
from explorer import registry
from explorer.engine.pruning.resolved import resolve
from explorer.engine.training.trainer import Trainer


def method(name):
    return registry.get("granularity", name)


def test_inputs_are_columns():
    scores = torch.tensor([[[3.0, 1.0, 0.0], [4.0, 1.0, 2.0]]])
    assert method("input")(scores).tolist() == [[5.0, pytest.approx(2**0.5), 2.0]]
    assert method("input")(scores, norm=1).tolist() == [[7.0, 2.0, 2.0]]
    keep = method("input").traits.expand(torch.tensor([[True, False, True]]), torch.Size((1, 2, 3)))
    assert keep.tolist() == [[[True, False, True], [True, False, True]]]


def test_inputs_of_a_convolution_are_its_channels():
    scores = torch.zeros(1, 2, 3, 2, 2)
    scores[0, 1, 2] = 1.0  # filter 1 reads channel 2 by four weights
    assert method("input")(scores).tolist() == [[0.0, 0.0, 2.0]]
    keep = method("input").traits.expand(torch.tensor([[True, False, True]]), torch.Size((1, 2, 3, 2, 2)))
    assert keep[0, :, :, 0, 0].tolist() == [[True, False, True]] * 2
    assert keep.shape == (1, 2, 3, 2, 2)


def test_each_group_of_a_convolution_has_inputs_of_its_own(tiny, scratch_registry):
    """Inputs 0 and 1 are read by filters 0 and 1, inputs 2 and 3 by the others: 1 and 2 are the weakest."""

    def grouped():
        conv = nn.Conv2d(4, 4, 1, groups=2)
        with torch.no_grad():
            conv.weight.copy_(torch.tensor([[9.0, 0.1], [9, 0.1], [0.2, 3], [0.2, 3]]).view(4, 2, 1, 1))
        return conv

    conv = grouped()
    masks = ex.prune(conv, ex.Pruning(granularity="input", threshold=0.5))
    expected = [[True, False], [True, False], [False, True], [False, True]]
    assert masks["weight"].flatten(1).tolist() == expected
    x = torch.randn(2, 4, 3, 3)
    silent = x.clone()
    silent[:, [1, 2]] = 0
    assert torch.equal(conv(x), conv(silent))

    @scratch_registry.register("model", "grouped")
    def net():
        """A grouped convolution between others."""
        parts = [nn.Conv2d(1, 4, 3, stride=4), grouped(), nn.Flatten(), nn.Linear(196, 10)]
        return nn.Sequential(*parts)

    pruning = {"granularity": "input", "threshold": 0.5, "begin_epoch": 0, "allocation": "uniform"}
    run = ex.train(tiny(model="grouped", pruning=pruning, lr=1e-9), progress=False, twin=False)
    assert run.masks["1.weight"].flatten(1).tolist() == expected


def test_filters_are_scored_as_neurons_are():
    scores = torch.arange(24.0).view(1, 2, 3, 2, 2)
    for norm in (1, 2):
        assert torch.equal(method("filter")(scores, norm=norm), method("neuron")(scores, norm=norm))
    assert method("filter")(torch.tensor([[1.0, 5.0]])).tolist() == [[1.0, 5.0]]  # activity's


def test_two_of_four_by_hand():
    keep_highest = method("n:m").traits.select
    scores = torch.tensor([4.0, 1.0, 3.0, 2.0, 9.0, 9.0, 9.0, 0.0])
    assert keep_highest(scores, (1, 8), 0.5).tolist() == [True, False, True, False, False, True, True, False]
    assert keep_highest(scores, (2, 4), 0.25).tolist() == [True, False, True, True, True, True, True, False]
    assert keep_highest(scores, (2, 4), 0.0).all()


def test_one_of_two_by_hand():
    keep_highest = method("n:m").traits.select
    assert keep_highest(torch.tensor([1.0, 2.0, 4.0, 3.0]), (1, 4), 0.5, m=2).tolist() == [
        False,
        True,
        True,
        False,
    ]


def test_blocks_of_a_convolution_run_along_its_channels():
    scores = torch.arange(8.0).view(1, 4, 1, 2)  # at each of two places, four channels
    keep = method("n:m").traits.select(scores.flatten(), (1, 4, 1, 2), 0.5).view(1, 4, 1, 2)
    assert keep[0, :, 0, 0].tolist() == [False, False, True, True]
    assert keep[0, :, 0, 1].tolist() == [False, False, True, True]


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (1, 2)])
def test_a_run_keeps_n_of_every_m(tiny, n, m):
    run = ex.train(
        tiny(pruning={"granularity": "n:m", "options": {"n": n, "m": m}}), progress=False, twin=False
    )
    assert run.summary["sparsity"] == 1 - n / m
    for mask in run.masks.values():
        assert set(mask.view(-1, m).sum(1).tolist()) == {n}


def test_n_of_m_says_the_threshold_itself():
    pruning = ex.Pruning(granularity="n:m", options={"n": 1, "m": 4})
    assert pruning.threshold == 0.75
    assert pruning == ex.Pruning(granularity="n:m", threshold=0.75, options={"n": 1, "m": 4})
    with pytest.warns(
        UserWarning, match=r"threshold = 0.3 has no effect with granularity 'n:m'.* make it 0.75"
    ):
        assert ex.Pruning(granularity="n:m", threshold=0.3, options={"n": 1}).threshold == 0.75
    with pytest.raises(ValueError, match="n = 4 of m = 4"):
        ex.Pruning(granularity="n:m", options={"n": 4})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"unit": "score"}, r"unit = 'score' does not go with granularity 'n:m'; allowed: sparsity"),
        ({"allocation": "erk"}, r"allocation = 'erk' .* 'n:m'; allowed: global, uniform"),
        ({"criterion": "activity"}, r"granularity = 'n:m' does not go with criterion 'activity'"),
        ({"schedule": "rigl"}, r"granularity = 'n:m' does not go with schedule 'rigl'; allowed: weight"),
    ],
)
def test_what_n_of_m_does_not_go_with(fields, words):
    with pytest.raises(ValueError, match=words):
        ex.Pruning(granularity="n:m", threshold=0.5, **fields)


REFUSED = [
    ("mlp-784-128-10", "filter", {}, r"'filter' prunes filters of convolutions, and here there are none"),
    ("binary-digit", "neuron", {}, r"'neuron' prunes units of hidden layers, and here there are none"),
    ("mlp-784-128-10", "n:m", {"n": 1, "m": 5}, r"does not fit layer 'fc1': its 784 inputs .* m = 5"),
]


@pytest.mark.parametrize(("model", "granularity", "options", "words"), REFUSED)
def test_what_does_not_fit_the_network_is_refused_before_it_trains(tiny, model, granularity, options, words):
    exp = tiny(model=model, pruning={"granularity": granularity, "options": options})
    with pytest.raises(ValueError, match=words):
        Trainer([exp], "cpu")


@pytest.mark.parametrize("granularity", ["weight", "input", "n:m"])
def test_the_last_layer_can_be_spared(tiny, granularity):
    options = {"spare_last": True}
    pruning = {"granularity": granularity, "threshold": 0.5, "options": options}
    run = ex.train(tiny(pruning=pruning), progress=False, twin=False)
    assert run.masks["fc2.weight"].all()
    assert int((~run.masks["fc1.weight"]).sum()) == 784 * 128 // 2  # the count is over what is left
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 4))
    masks = ex.prune(net, ex.Pruning(granularity=granularity, threshold=0.5, options=options))
    assert list(masks) == ["0.weight"]


def test_layers_that_do_not_fall_into_blocks_stay_dense_and_are_named(tiny):
    """The first convolution of an image network reads one channel or three."""
    pruning = {"granularity": "n:m", "begin_epoch": 0}
    words = r"granularity = 'n:m' leaves these layers dense: conv1 \(its 1 inputs .* blocks of m = 4\)$"
    with pytest.warns(UserWarning, match=words) as caught:
        run = ex.train(tiny(model="small-cnn", pruning=pruning), progress=False, twin=False)
    assert caught[0].filename == __file__
    assert run.masks["conv1.weight"].all()
    for name in ("conv2.weight", "fc.weight"):
        assert (run.masks[name].transpose(0, 1).unflatten(0, (-1, 4)).sum(1) == 2).all()
    with pytest.warns(UserWarning, match=words) as caught:
        study = ex.sweep(tiny(model="small-cnn", pruning=pruning), {"lr": [0.1, 0.2]}, progress=False)
    assert caught[0].filename == __file__
    assert len(study.frame) == 2
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(96, 2))
    with pytest.warns(UserWarning, match=r"leaves these layers dense: 0 \(its 3 inputs") as caught:
        masks = ex.prune(net, ex.Pruning(granularity="n:m"))
    assert caught[0].filename == __file__
    assert list(masks) == ["2.weight", "4.weight"]
    assert net[0].weight.all()
    with pytest.raises(ValueError, match=r"'n:m' does not fit layer 'weight': its 3 inputs"):
        ex.prune(nn.Conv2d(3, 8, 3), ex.Pruning(granularity="n:m"))


def dead_units(run, layer):
    return ~run.masks[f"{layer}.weight"].flatten(1).any(1)


@pytest.mark.parametrize("granularity", ["filter", "neuron"])
def test_a_filter_takes_its_norm_and_its_readers_with_it(tiny, granularity):
    pruning = {"granularity": granularity, "threshold": 0.5, "allocation": "uniform", "begin_epoch": 0.25}
    run = ex.train(tiny(model="small-cnn", pruning=pruning), progress=False, twin=False)
    model, masks = run.model(), run.masks
    one, two = dead_units(run, "conv1"), dead_units(run, "conv2")
    assert (int(one.sum()), int(two.sum())) == (4, 8)
    assert torch.equal(masks["conv2.weight"][:, :, 0, 0], ~two[:, None] & ~one[None])
    assert torch.equal(masks["fc.weight"], ~two.repeat_interleave(36).expand(10, 576))
    for dead, norm in ((one, model.bn1), (two, model.bn2)):
        for parameter in (norm.weight, norm.bias):
            assert not parameter[dead].any()
            assert parameter[~dead].all()
    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        assert not model.relu1(model.bn1(model.conv1(x)))[:, one].any()


def test_a_filter_of_lenet_takes_its_bias_and_its_maps_weights(tiny):
    pruning = {"granularity": "filter", "threshold": 0.5, "begin_epoch": 0.25}
    run = ex.train(tiny(model="lenet-5", pruning=pruning), progress=False, twin=False)
    model = run.model()
    one, two = dead_units(run, "conv1"), dead_units(run, "conv2")
    assert int(one.sum()) + int(two.sum()) == 35  # half of 20 + 50, whichever they are
    assert not model.conv1.bias[one].any()
    assert not model.conv2.bias[two].any()
    assert torch.equal(run.masks["fc1.weight"], ~two.repeat_interleave(16).expand(500, 800))
    assert run.masks["fc2.weight"].all()


def test_inputs_that_fall_are_pixels_that_nobody_reads(tiny):
    pruning = {"granularity": "input", "threshold": 0.25, "allocation": "uniform"}
    run = ex.train(tiny(pruning=pruning), progress=False, twin=False)
    assert int((~run.masks["fc1.weight"].any(0)).sum()) == 196
    assert int((~run.masks["fc2.weight"].any(0)).sum()) == 32
    assert run.summary["sparsity"] == 0.25
    assert run.model().fc1.bias.all()


def test_in_one_pool_units_compete_by_length_over_the_root_of_their_weights():
    scores = [torch.ones(1, 4, 9), torch.ones(1, 4, 100)]
    for granularity in ("neuron", "input"):
        pruning = ex.Pruning(granularity=granularity)
        for units in resolve(pruning).unit_scores(scores, [1, 1]):
            assert units.tolist() == pytest.approx([1.0] * len(units))


DEEP = {"model": "deep", "momentum": 0.9, "weight_decay": 0.1, "lr": 0.05}


@pytest.fixture
def deep(tiny, scratch_registry):
    @scratch_registry.register("model", "deep")
    def deep_relu():
        """Three square layers of ReLU units."""
        hidden = [part for _ in range(3) for part in (nn.Linear(12, 12), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), *hidden, nn.Linear(12, 10))

    return lambda **pruning: tiny(**DEEP, pruning={"granularity": "layer", **pruning})


SQUARE = ("3", "5", "7")


@pytest.mark.parametrize("schedule", ["one-shot", "iterative"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_layer_that_falls_is_the_identity_and_stays_so(deep, schedule, optimizer):
    exp = deep(threshold=0.6, schedule=schedule, begin_epoch=0.25).replace(
        optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0
    )
    run = ex.train(exp, progress=False)
    model, masks = run.model(), run.masks
    gone = [name for name in SQUARE if not masks[f"{name}.weight"].any()]
    assert len(gone) == 2  # round(0.6 × 3)
    for name in gone:
        assert torch.equal(model.get_parameter(f"{name}.weight"), torch.eye(12))
        assert not model.get_parameter(f"{name}.bias").any()
    stays = {f"{name}.weight" for name in (*SQUARE, "1", "9")} - {f"{name}.weight" for name in gone}
    assert all(masks[name].all() for name in stays)
    assert run.summary["sparsity"] == pytest.approx(2 * 144 / (784 * 12 + 3 * 144 + 120), abs=1e-12)
    x = torch.rand(4, 1, 28, 28)
    left = [part for name, part in model.named_children() if name not in gone]
    torch.testing.assert_close(nn.Sequential(*left)(x), model(x))  # as if it were not there


def test_the_weakest_layer_falls_and_a_preview_shows_it(deep):
    exp = deep(threshold=0.34, begin_epoch=0)
    trainer = Trainer([exp], "cpu", torch.float64)
    view, decision = trainer.preview(exp)
    weakest = min(
        SQUARE,
        key=lambda n: float(trainer.network.layout.slices[f"{n}.weight"].view(trainer.state.theta).norm()),
    )
    assert [la.name for la, kept in zip(decision.layers, decision.units, strict=True) if not kept] == [
        weakest
    ]
    shown = trainer.network.layout.views(view.row.unsqueeze(0))[f"{weakest}.weight"]
    assert torch.equal(shown, torch.eye(12, dtype=torch.float64))
    next(trainer.run())
    assert torch.equal(trainer.state.theta[0], view.row)


def test_layers_that_cannot_be_replaced_are_refused(tiny):
    with pytest.raises(ValueError, match="'layer' prunes square hidden layers, and here there are none"):
        Trainer([tiny(pruning={"granularity": "layer"})], "cpu")
    for fields in ({"schedule": "splicing"}, {"schedule": "rewind"}, {"allocation": "uniform"}):
        with pytest.raises(ValueError, match="does not go with granularity 'layer'"):
            ex.Pruning(granularity="layer", **fields)
    with pytest.raises(ValueError, match=r"granularity = 'layer' .* use ex\.train"):
        ex.prune(nn.Linear(3, 3), ex.Pruning(granularity="layer"))


def test_prune_zeroes_filters_and_inputs_of_any_module():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    masks = ex.prune(net, ex.Pruning(granularity="filter", threshold=0.5))
    assert list(masks) == ["0.weight"]
    assert int((~masks["0.weight"].flatten(1).any(1)).sum()) == 2
    masks = ex.prune(net, ex.Pruning(granularity="input", threshold=0.5, allocation="uniform"))
    assert [int((~m.transpose(0, 1).flatten(1).any(1)).sum()) for m in masks.values()] == [1, 8]
    with pytest.raises(ValueError, match="'filter' prunes filters of convolutions"):
        ex.prune(nn.Linear(3, 2), ex.Pruning(granularity="filter"))


@pytest.mark.parametrize("granularity", ["filter", "neuron"])
def test_prune_leaves_all_but_the_weights_of_a_unit_as_its_table_says(granularity):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    masks = ex.prune(net, ex.Pruning(granularity=granularity, threshold=0.5, allocation="uniform"))
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name] * masks.get(name, 1)), name
    assert [int(m.flatten(1).any(1).sum()) for m in masks.values()] == [2, 3]
    assert "a run drops bias, norm" in method(granularity).help
    assert method(granularity).help.endswith(" alone.")
    assert "its bias, batch norm and readers, which fall with it in a run, stay" in ex.prune.__doc__


PARTLY = ("iterative", "gradual", "every-step")
PAIRS = {f"{g}-{s}": (g, s) for g in registry.names("granularity") for s in PARTLY}
EACH_ONCE = [f"{g}-{PARTLY[i % 3]}" for i, g in enumerate(registry.names("granularity"))]


@pytest.mark.parametrize("pair", some(PAIRS, *EACH_ONCE))
def test_every_granularity_goes_with_schedules_that_prune_in_parts(tiny, pair):
    granularity, schedule = pair
    model = {"filter": "small-cnn", "layer": "deep-sigmoid"}.get(granularity, "mlp-784-64-32-10")
    options = {"every": 4} if schedule != "iterative" else {"rounds": 2}
    pruning = {"granularity": granularity, "schedule": schedule, "threshold": 0.5, "options": options}
    trainer = Trainer([tiny(model=model, pruning=pruning, momentum=0.9)], "cpu")
    before = torch.ones(trainer.network.layout.width, dtype=torch.bool)
    for _ in trainer.run():
        if trainer.lanes[0].decision is not None:
            keep = trainer.lanes[0].decision.keep
            assert not (keep & ~before).any()  # masks only shrink
            if granularity != "layer":  # the identity takes its place
                assert not trainer.state.theta[0][~keep].any()
            before = keep
    units = trainer.lanes[0].decision.units
    fallen = sum(int((~u).sum()) for u in units)
    assert fallen == round(0.5 * sum(len(u) for u in units))
