"""The zoo: each model is a factory of an ordinary `nn.Module` that takes images [B, 1, 28, 28].

A user's own is registered in the same way and may be any module. Its trait `labels`, where it has one, turns
the data set's labels into those that the model is to predict. Modules come with the initial values that
they give themselves, torch's defaults in the zoo, drawn from numbers of the run's own.

Shapes: N images, B batch.
"""

import copy
from collections import OrderedDict
from dataclasses import replace
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from explorer.engine.data.dataset_info import dataset_info
from explorer.engine.data.datasets import Images, Split
from explorer.engine.data.random import isolated_rng
from explorer.engine.data.tensor_checks import check_labels, check_range
from explorer.engine.network.layout import check_weights
from explorer.experiment import Experiment
from explorer.registry import get, register

Parts = list[tuple[str, nn.Module]]


def _mlp(sizes: list[int], activation: type[nn.Module], name: str) -> nn.Sequential:
    """Return Linear layers of these sizes, with an activation, named fc1, relu1, ..., between them."""
    parts: Parts = [("flatten", nn.Flatten())]
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        parts += [(f"fc{i}", nn.Linear(fan_in, fan_out)), (f"{name}{i}", activation())]
    return nn.Sequential(OrderedDict(parts[:-1]))  # the logits stay as they are


@register("model", "mlp-784-128-10")
def mlp_784_128_10() -> nn.Module:
    """One hidden layer of 128 ReLU units: the network of article 000.

    Reference: sources/000, section 4.1
    """
    return _mlp([784, 128, 10], nn.ReLU, "relu")


@register("model", "mlp-784-64-32-10")
def mlp_784_64_32_10() -> nn.Module:
    """Two hidden layers of 64 and 32 ReLU units: the network of article 001.

    Reference: sources/001, section 4
    """
    return _mlp([784, 64, 32, 10], nn.ReLU, "relu")


@register("model", "lenet-300-100")
def lenet_300_100() -> nn.Module:
    """Two hidden layers of 300 and 100 ReLU units, the field's yardstick for pruning.

    Reference: LeCun, Bottou, Bengio & Haffner 1998, https://doi.org/10.1109/5.726791
    """
    return _mlp([784, 300, 100, 10], nn.ReLU, "relu")


@register("model", "lenet-5")
def lenet_5() -> nn.Module:
    """Two convolutions and two linear layers, 431,080 parameters: Caffe's LeNet-5, as pruning papers use it.

    Reference: LeCun, Bottou, Bengio & Haffner 1998, https://doi.org/10.1109/5.726791
    """
    parts: Parts = [
        *(("conv1", nn.Conv2d(1, 20, 5)), ("pool1", nn.MaxPool2d(2))),
        *(("conv2", nn.Conv2d(20, 50, 5)), ("pool2", nn.MaxPool2d(2))),
        *(("flatten", nn.Flatten()), ("fc1", nn.Linear(800, 500)), ("relu1", nn.ReLU())),
        ("fc2", nn.Linear(500, 10)),
    ]
    return nn.Sequential(OrderedDict(parts))


@register("model", "small-cnn")
def small_cnn() -> nn.Module:
    """Two convolutions with batch normalisation and one linear layer.

    Reference: Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167
    """
    parts: Parts = [  # batch norm has a bias of its own
        *(("conv1", nn.Conv2d(1, 8, 3, bias=False)), ("bn1", nn.BatchNorm2d(8)), ("relu1", nn.ReLU())),
        *(("conv2", nn.Conv2d(8, 16, 3, bias=False)), ("bn2", nn.BatchNorm2d(16)), ("relu2", nn.ReLU())),
        *(("pool", nn.MaxPool2d(4)), ("flatten", nn.Flatten()), ("fc", nn.Linear(576, 10))),
    ]
    return nn.Sequential(OrderedDict(parts))


@register("model", "deep-sigmoid")
def deep_sigmoid(
    *,
    depth: Annotated[int, Field(ge=1, le=30)] = 8,
    width: Annotated[int, Field(ge=1, le=1024)] = 64,
) -> nn.Module:
    """Many hidden layers of sigmoid units, so that gradients vanish on their way back: article 001.

    Reference: Hochreiter 1998, https://doi.org/10.1142/S0218488598000094
    """
    return _mlp([784, *[width] * depth, 10], nn.Sigmoid, "sigmoid")


def _is_digit(labels: Tensor, *, digit: int = 0) -> Tensor:
    return (labels == digit).long()


@register("model", "binary-digit", labels=_is_digit)
def binary_digit(
    *,
    digit: Annotated[int, Field(ge=0, le=9)] = 0,  # noqa: ARG001  it changes the labels, not the network
) -> nn.Module:
    """Is it this digit or another? One sigmoid unit: the binary example of article 002.

    The module gives the logit z; the losses put the sigmoid on it.

    Reference: sources/002, section 4.2
    """
    return _mlp([784, 1], nn.ReLU, "relu")


def build(experiment: Experiment, seed: int = 0) -> nn.Module:
    """Return a new module for an experiment, in eval mode; `seed` decides its initial values."""
    with isolated_rng(seed):
        module = get("model", experiment.model)(**experiment.model_options)
    if not isinstance(module, nn.Module):
        raise ValueError(f"model = {experiment.model!r} gives {type(module).__name__}, not an nn.Module")
    try:
        check_weights(module)
        return copy.deepcopy(module).eval()  # a factory may hand out a module that is somebody's own
    except (ValueError, RuntimeError) as error:  # what torch computes at every forward pass has no copy
        raise ValueError(f"model = {experiment.model!r} cannot be trained here: {error}") from error


def initialised(experiment: Experiment, generator: torch.Generator) -> nn.Module:
    """Return a new module for an experiment, its initial values decided by this generator."""
    return build(experiment, int(torch.randint(2**62, (), generator=generator)))


def check_data(module: nn.Module, experiment: Experiment) -> int:
    """Return how many outputs a model has for the data set's images, tried on two of them and on one.

    Raises ValueError where it cannot take them, answers with anything but a tensor [B, outputs], or cannot
    tell all classes.
    """
    info, model = dataset_info(experiment.dataset), get("model", experiment.model)
    weight = next(module.parameters(), torch.empty(0))
    outputs, _ = (_outputs(module, weight.new_zeros(n, *info.shape), experiment) for n in (2, 1))
    if max(2, outputs) < info.classes and model.traits.labels is None:  # one output tells two classes apart
        raise ValueError(
            f"model = {experiment.model!r} has {outputs} outputs, but {experiment.dataset!r} has "
            f"{info.classes} classes"
        )
    return outputs


def _outputs(module: nn.Module, inputs: Tensor, experiment: Experiment) -> int:
    """Return how many logits a module answers each image with; raise ValueError where it does not."""
    named, count = f"model = {experiment.model!r}", len(inputs)
    images = f"{' × '.join(map(str, inputs.shape[1:]))} images of {experiment.dataset}"
    try:
        with torch.no_grad():
            answer = module(inputs)
    except Exception as error:
        raise ValueError(f"{named} cannot take the {images}: {error}") from error
    if not isinstance(answer, Tensor):
        raise ValueError(
            f"{named} answers to the {images} with {type(answer).__name__}, but it must be a tensor "
            "[B, classes]: register a module whose forward returns the logits alone"
        )
    if answer.dim() != 2 or len(answer) != count or not answer.shape[1]:
        raise ValueError(
            f"{named} answers to a batch of {count} of the {images} with shape {list(answer.shape)}, but it "
            f"must be [{count}, classes]: a line of logits for each image"
        )
    return answer.shape[1]


def relabel(split: Split, experiment: Experiment, outputs: int) -> Split:
    """Return the images with the labels, int64 [N], that the experiment's model is to predict.

    Raises ValueError where a label is none of the model's outputs.
    """
    labels_of = get("model", experiment.model).traits.labels
    owner, named = f"dataset = {experiment.dataset!r}", f"model = {experiment.model!r}"
    if labels_of is not None:
        owner += f", as the trait labels of {named} turns it,"
    noun = "output, which tells two classes apart" if outputs == 1 else "outputs"

    def with_labels(images: Images) -> Images:
        if labels_of is not None:
            labels = labels_of(images.labels.clone(), **experiment.model_options)
            images = replace(images, labels=check_labels(labels, len(images), owner))
        check_range(images.labels, max(2, outputs), owner, f"{named} has {outputs} {noun}")
        return images

    return Split(*map(with_labels, (split.train, split.validation, split.test)))
