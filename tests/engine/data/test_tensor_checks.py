"""A data set is checked once, when it is loaded; nothing that does not fit reaches training."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import explorer as ex
from explorer.engine.data import datasets
from explorer.engine.data.dataset_info import dataset_info
from explorer.engine.data.datasets import Images
from explorer.engine.training.trainer import Trainer

CPU = torch.device("cpu")
MNIST = {"sizes": (400, 100), "shape": (1, 28, 28), "classes": 10}


def part(count=400, **fields):
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return replace(Images(pixels, torch.arange(count) % 10), **fields)


@pytest.fixture
def own(scratch_registry):
    """Register a data set of these training images and return an Experiment on it."""

    def register(train, test=None, traits=None, **fields):
        test = part(100) if test is None else test
        scratch_registry.register("dataset", "own", **(traits or {}))(lambda: (train, test))
        few = {"dataset": "own", "batch_size": 20, "validation": 40, "epochs": 1, "pruning": None}
        return ex.Experiment(**(few | fields))

    return register


FLOATS = part().pixels / 255
WRONG = {
    "float pixels": ({"pixels": FLOATS}, ValueError, r"pixels of torch.float32.*\(255 \* pixels\)"),
    "signed pixels": ({"pixels": part().pixels.short()}, ValueError, "pixels of torch.int16"),
    "numpy pixels": ({"pixels": part().pixels.numpy()}, TypeError, "pixels of ndarray.*from_numpy"),
    "no pixels": ({"pixels": None}, TypeError, "pixels of NoneType"),
    "flat": ({"pixels": part().pixels.flatten()}, ValueError, r"shape \[313600\]"),
    "too few labels": ({"labels": torch.arange(300) % 10}, ValueError, r"\[300\] for 400 images"),
    "too many labels": ({"labels": torch.arange(60_000) % 10}, ValueError, r"\[60000\] for 400 images"),
    "labels in columns": ({"labels": part().labels.unsqueeze(1)}, ValueError, r"\[400, 1\] for 400 images"),
    "float labels": ({"labels": part().labels.float()}, ValueError, r"labels of torch.float32.*long\(\)"),
    "a list of labels": ({"labels": [0] * 400}, TypeError, "labels of list"),
    "no labels": ({"labels": None}, TypeError, "labels of NoneType"),
    "std 0": ({"std": 0.0}, ValueError, "std = 0.0; both must be finite and std more than 0"),
    "std below 0": ({"std": -1.0}, ValueError, "std = -1.0"),
    "mean not finite": ({"mean": float("nan")}, ValueError, "mean = nan"),
    "no std": ({"std": None}, TypeError, "std = None, of NoneType; give a float"),
    "no images": (
        {"pixels": part().pixels[:0], "labels": part().labels[:0]},
        ValueError,
        "at least one image",
    ),
}


@pytest.mark.parametrize("where", ["training", "test"])
@pytest.mark.parametrize(("fields", "kind", "text"), WRONG.values(), ids=WRONG)
def test_what_is_no_data_set_is_refused_as_it_is_loaded(own, where, fields, kind, text):
    wrong = replace(part(), **fields)
    exp = own(wrong) if where == "training" else own(part(), wrong)
    for load in (lambda: dataset_info("own"), lambda: Trainer([exp], "cpu"), lambda: ex.train(exp)):
        with pytest.raises(kind, match=rf"(?s)dataset = 'own' \({where}\) has .*{text}"):
            load()


@pytest.mark.parametrize(
    "parts", [None, part(), (part(),), (part(), None), (part(), part(), part())], ids=str
)
def test_what_returns_no_two_parts_is_refused(scratch_registry, parts):
    scratch_registry.register("dataset", "own")(lambda: parts)
    with pytest.raises(TypeError, match=r"dataset = 'own' returns .*its training and its test Images"):
        datasets.load("own", CPU)


def test_parts_are_of_one_shape(own):
    own(part(), Images(torch.zeros(9, 1, 12, 12, dtype=torch.uint8), torch.arange(9)))
    with pytest.raises(
        ValueError, match=r"training images of shape \(1, 28, 28\) and test images of \(1, 12"
    ):
        datasets.load("own", CPU)


@pytest.mark.parametrize("traits", [{"shape": (1, 12, 12)}, {"classes": 9}], ids=str)
def test_traits_that_are_not_true_are_refused(own, traits):
    own(part(), traits=MNIST | traits)
    with pytest.raises(ValueError, match=r"dataset = 'own' .*registered with"):
        datasets.load("own", CPU)


# -- labels and the model --------------------------------------------------------------------------------


@pytest.mark.parametrize("traits", [{}, MNIST], ids=["measured", "registered"])
@pytest.mark.parametrize("low", [-1, 0, 1])
@pytest.mark.parametrize("where", ["training", "validation", "test"])
def test_labels_that_are_no_output_never_train(own, where, low, traits):
    good, labels = part(), part().labels.clone()
    labels[5 if where == "training" else -5] = {-1: -1, 0: 25, 1: 10}[low]
    bad = replace(good, labels=labels)
    exp = (
        own(good, bad[:400], traits | ({"sizes": (400, 400)} if traits else {}))
        if where == "test"
        else own(bad, traits=traits)
    )
    with pytest.raises(ValueError, match=r"(labels from|has 10 outputs, but 'own' has)"):
        ex.train(exp, progress=False)


@pytest.mark.parametrize("change", [0, 1, -1], ids=["fits", "too high", "negative"])
def test_labels_count_after_the_models_own_trait(own, scratch_registry, change):
    def odd(labels):
        return labels % 2 + change

    scratch_registry.register("model", "odd", labels=odd)(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    )
    letters = replace(part(), labels=torch.arange(400) % 26 - 3)  # the data set's own may be anything
    exp = own(letters, model="odd")
    if not change:
        assert ex.train(exp, progress=False).status == "done"
        return
    with pytest.raises(ValueError, match="as the trait labels of model = 'odd' turns it, has labels from"):
        ex.train(exp, progress=False)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32], ids=str)
def test_any_whole_numbers_are_labels(own, dtype):
    first = ex.train(own(part()), progress=False).summary["test_accuracy"]
    again = own(replace(part(), labels=part().labels.to(dtype)))
    assert ex.train(again, progress=False).summary["test_accuracy"] == first


def test_pixels_laid_out_otherwise_train_the_same(own):
    turned = part().pixels.transpose(2, 3).contiguous().transpose(2, 3)
    first = ex.train(own(part()), progress=False)
    again = ex.train(own(replace(part(), pixels=turned)), progress=False)
    assert torch.equal(first.row, again.row)


def test_nothing_of_the_users_is_written_to(own, scratch_registry):
    train, test = part(), part(100)
    copies = [tensor.clone() for each in (train, test) for tensor in (each.pixels, each.labels)]
    ex.train(own(train, test), progress=False)
    scratch_registry.register("model", "turned", labels=lambda y: y.neg_().add_(9))(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    )
    ex.train(own(train, test, model="turned"), progress=False)
    floats = torch.full((2, 1, 28, 28), 100.0)
    datasets.normalised(floats, True, torch.float32)
    assert (floats == 100).all()
    for tensor, copy in zip((train.pixels, train.labels, test.pixels, test.labels), copies, strict=True):
        assert torch.equal(tensor, copy)


# -- a model's answer ------------------------------------------------------------------------------------


class Answer(nn.Module):
    """Answers with whatever a function makes of its logits."""

    def __init__(self, change, outputs=10):
        super().__init__()
        self.linear, self.change = nn.Linear(784, outputs), change

    def forward(self, x):
        return self.change(self.linear(x.flatten(1)))


ANSWERS = {
    "a dict": (lambda z: {"logits": z}, "with dict, but it must be a tensor"),
    "a tuple": (lambda z: (z, z), "with tuple, but it must be a tensor"),
    "no batch": (lambda z: z[0], r"shape \[10\]"),
    "one image": (lambda z: z[:1], r"shape \[1, 10\]"),
    "a squeezed batch of one": (torch.squeeze, r"shape \[10\]"),
    "a map": (lambda z: z[:, :, None], r"shape \[2, 10, 1\]"),
    "nothing": (lambda z: z[:, :0], r"shape \[2, 0\]"),
}


@pytest.mark.parametrize("pruning", [None, {"threshold": 0.5}], ids=["dense", "pruned"])
@pytest.mark.parametrize(("change", "text"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_logits_is_refused(own, scratch_registry, change, text, pruning):
    scratch_registry.register("model", "answer")(lambda: Answer(change))
    exp = own(part(), model="answer", pruning=pruning)
    with pytest.raises(ValueError, match=f"model = 'answer' answers to .*1 × 28 × 28 images of own.*{text}"):
        ex.train(exp, progress=False)


def test_a_model_for_other_images_names_both_shapes(own):
    coloured = Images(torch.zeros(400, 3, 32, 32, dtype=torch.uint8), torch.arange(400) % 10)
    exp = own(coloured, coloured[:100])
    with pytest.raises(
        ValueError, match=r"'mlp-784-128-10' cannot take the 3 × 32 × 32 images of own: .*784x128"
    ):
        ex.train(exp, progress=False)


# -- sweeps ----------------------------------------------------------------------------------------------


def test_sweeps_take_images_of_any_size(own, scratch_registry):
    coloured = Images(part(1).pixels.expand(400, 3, 28, 28)[..., :12, :12], torch.arange(400) % 4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 8), nn.ReLU(), nn.Linear(8, 4))
    scratch_registry.register("model", "net")(lambda: net)
    exp = own(coloured, coloured[:100], model="net", pruning={"threshold": 0.5})
    grid = {"model": ["mlp-784-128-10", "net"], "pruning.threshold": [0.5, 0.8]}
    with pytest.warns(UserWarning, match="2 of 4 combinations are skipped"):
        study = ex.sweep(exp, grid, progress=False)
    assert [run.status for run in study.runs] == ["done", "done"]
    assert [changes["model"] for changes, _ in study.skipped] == ["mlp-784-128-10"] * 2
    assert all("cannot take the 3 × 12 × 12 images of own" in reason for _, reason in study.skipped)


@pytest.mark.parametrize("traits", [{}, {"sizes": (400, 100), "shape": (1, 28, 28), "classes": 10}])
def test_data_that_do_not_fit_never_end_a_sweep(own, scratch_registry, traits):
    exp = own(part())
    scratch_registry.register("dataset", "none", **traits)(lambda: (part(labels=None), part(100)))
    scratch_registry.register("dataset", "floats", **traits)(lambda: (part(pixels=FLOATS), part(100)))
    scratch_registry.register("dataset", "fails", **traits)(lambda: part(1) / 0)
    with pytest.warns(UserWarning, match="3 of 4 combinations are skipped .*'none'.*TypeError"):
        study = ex.sweep(exp, {"dataset": ["none", "own", "floats", "fails"]}, progress=False)
    assert [run.status for run in study.runs] == ["done"]
    reasons = [reason for _, reason in study.skipped]
    assert [reason.split(" ")[0] for reason in reasons] == ["TypeError:", "dataset", "TypeError:"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_a_module_of_any_precision_trains_and_is_swept(own, scratch_registry, dtype):
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10)).to(dtype)
    scratch_registry.register("model", "net")(lambda: net)
    exp = own(part(), model="net", pruning={"threshold": 0.5})
    assert ex.train(exp, progress=False).status == "done"
    study = ex.sweep(exp, {"pruning.threshold": [0.5, 0.8]}, progress=False)
    assert [run.status for run in study.runs] == ["done", "done"]
