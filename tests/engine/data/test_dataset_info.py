"""A data set's size, shape and classes: told, or measured once; nothing takes them to be MNIST's."""

import pytest
import torch
from torch import nn

import explorer as ex
from explorer import registry
from explorer.engine.analysis import memory_estimate
from explorer.engine.data import datasets
from explorer.engine.data.dataset_info import DatasetInfo, dataset_info, steps_per_epoch
from explorer.engine.pruning import fit
from explorer.engine.training.trainer import Trainer
from explorer.study.plan import steps_of

CPU = torch.device("cpu")
TOLD = {"sizes": (240, 60), "shape": (1, 12, 12), "classes": 3}


@pytest.mark.parametrize("name", [m.name for m in registry.methods("dataset")])
def test_all_data_sets_that_explorer_brings_tell_what_they_are(name):
    traits = registry.get("dataset", name).traits
    assert (traits.sizes, traits.shape, traits.classes) == ((60_000, 10_000), (1, 28, 28), 10)


def test_what_mnist_tells_is_true():
    train, test = datasets.load("mnist", CPU)
    info = dataset_info("mnist")
    assert info.sizes == (len(train), len(test))
    assert info.shape == tuple(train.pixels.shape[1:])
    assert info.classes == 1 + int(train.labels.max())
    assert info.nonzero == pytest.approx(int(train.pixels.count_nonzero()) / train.pixels.numel(), abs=1e-3)


def test_what_a_data_set_does_not_tell_is_measured_once(stripes):
    calls = stripes()
    for _ in range(2):
        info = dataset_info("stripes")
        assert (info.sizes, info.shape, info.classes) == ((240, 60), (1, 12, 12), 3)
        assert 0 < info.nonzero < 1
    assert len(calls) == 1


def test_what_a_data_set_tells_is_not_measured(stripes):
    calls = stripes(**TOLD)
    assert dataset_info("stripes") == DatasetInfo(**TOLD, nonzero=1.0)
    assert calls == []


def test_one_that_is_registered_anew_is_another(stripes):
    stripes()
    assert dataset_info("stripes").sizes == (240, 60)
    stripes(train=100)
    assert dataset_info("stripes").sizes == (100, 60)
    assert len(datasets.load("stripes", CPU)[0]) == 100


def test_sizes_that_are_not_true_are_refused(stripes):
    stripes(sizes=(239, 60))
    with pytest.raises(ValueError, match=r"sizes=\(239, 60\), but has 240 training and 60 test"):
        datasets.load("stripes", CPU)


# -- what depends on it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("traits", [TOLD, {}], ids=["told", "measured"])
def test_validation_and_batch_size_are_bounded_by_the_data_set(stripes, traits):
    stripes(**traits)
    dataset_info("stripes")
    stripes.experiment(validation=236, batch_size=4)
    with pytest.raises(ValueError, match="validation = 237: must be less than or equal to 236"):
        stripes.experiment(validation=237)
    with pytest.raises(ValueError, match="batch_size = 201 is more than the 200 training images"):
        stripes.experiment(validation=40, batch_size=201)


def test_before_it_is_known_training_says_the_same(stripes):
    calls = stripes()
    wrong = {
        "validation = 237: must be less than or equal to 236": stripes.experiment(validation=237),
        "batch_size = 201 is more than the 200 training images": stripes.experiment(batch_size=201),
    }
    assert calls == []  # an Experiment loads nothing
    for text, exp in wrong.items():
        with pytest.raises(ValueError, match=text):
            Trainer([exp], "cpu")


@pytest.mark.parametrize(("validation", "batch_size", "steps"), [(40, 20, 10), (40, 30, 7), (0, 240, 1)])
def test_steps_are_those_of_its_images(stripes, validation, batch_size, steps):
    stripes()
    exp = stripes.experiment(validation=validation, batch_size=batch_size, epochs=3)
    assert steps_per_epoch(exp) == steps
    assert steps_of([exp, exp]) == 2 * 3 * steps
    assert Trainer([exp], "cpu").total == 3 * steps


def test_memory_is_that_of_its_images(stripes):
    stripes()
    exp = stripes.experiment()
    images = memory_estimate._images(exp)
    train, test = datasets.load("stripes", CPU)
    held = sum(part.pixels.nbytes + part.labels.nbytes for part in (train, test))
    assert held < images < held + 4 * 144 * (40 + 200 + 16 * exp.batch_size + 60)  # and few as numbers
    mnist = ex.Experiment(model="mlp-784-128-10")
    whole = memory_estimate.peak_bytes([exp, exp.dense()], together=False)
    assert whole < memory_estimate.peak_bytes([mnist, mnist.dense()], together=False) / 2


@pytest.mark.parametrize("traits", [TOLD, {}], ids=["told", "measured"])
def test_a_model_that_cannot_take_its_images_is_refused_with_the_reason(stripes, traits):
    stripes(**traits)
    exp = stripes.experiment(model="mlp-784-128-10")
    for refuse in (fit.check, lambda e: Trainer([e], "cpu")):
        with pytest.raises(
            ValueError, match=r"'mlp-784-128-10' cannot take the 1 × 12 × 12 images of stripes: "
        ):
            refuse(exp)


@pytest.mark.parametrize(("outputs", "fits"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_model_with_too_few_outputs_is_refused(stripes, scratch_registry, outputs, fits):
    stripes()
    scratch_registry.register("model", "few")(lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, outputs)))
    exp = stripes.experiment(model="few", pruning={"threshold": 0.5})
    if fits:
        fit.check(exp)
        return
    with pytest.raises(ValueError, match=f"model = 'few' has {outputs} outputs, but 'stripes' has 3 classes"):
        Trainer([exp], "cpu")
