"""Whether a pruning fits a network at all: asked before anything is trained, of an experiment alone."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from explorer import registry
from explorer.engine.data.dataset_info import DatasetInfo, dataset_info
from explorer.engine.data.random import generator
from explorer.engine.network import models
from explorer.engine.network.dependencies import UnitDependencies, trace_dependencies
from explorer.engine.network.forward_backward import Network
from explorer.engine.network.state import LaneView
from explorer.engine.pruning.resolved import resolve, warn_of_problems
from explorer.engine.pruning.score_inputs import ScoringContext
from explorer.engine.pruning.scoring import check_scorable
from explorer.experiment import Experiment, Pruning


def check(experiment: Experiment) -> None:
    """Raise ValueError, with the reason, where data set, network and pruning do not fit together.

    That the criterion can score the network is tried on two blank images.
    """
    network = structure(experiment)
    if experiment.pruning is not None:
        resolved = resolve(experiment.pruning)
        resolved.check(*network, experiment.pruning.threshold)
        criterion, loss = resolved.criterion, registry.get("loss", experiment.loss)
        pruning = Pruning(
            criterion=criterion.name,
            granularity=experiment.pruning.granularity,
            options=dict(criterion.options),
        )
        _try_scoring(
            _bare(experiment, pruning=pruning, loss=loss.name),
            registry.get("model", experiment.model).function,
            dataset_info(experiment.dataset),
            criterion.method.function,
        )


def warn_of_dense_layers(experiments: Iterable[Experiment]) -> None:
    """Warn the caller's caller of layers that a granularity is for, but whose shapes keep them dense."""
    problems: dict[str, dict[str, str]] = {}
    for experiment in experiments:
        if experiment.pruning and (resolved := resolve(experiment.pruning)).granularity.traits.problem:
            named = problems.setdefault(experiment.pruning.granularity, {})
            named |= {n: p for n, p in resolved.problems(*structure(experiment)).items() if p}
    for granularity, named in problems.items():
        warn_of_problems(granularity, named, depth=4)


def prunable_layers(experiment: Experiment) -> list[str]:
    """Return the names of the layers that an experiment prunes; raise ValueError where there is none."""
    return resolve(pruning_of(experiment)).eligible(*structure(experiment))


def structure(experiment: Experiment) -> tuple[dict[str, torch.Size], list[str]]:
    """Return the shapes of a network's weights, by layer, and the layers whose units are its answers.

    Raises ValueError where the network cannot take the data set's images, or tell its classes.
    """
    model, info = registry.get("model", experiment.model), dataset_info(experiment.dataset)
    return _structure(_bare(experiment, pruning=None), model.function, info)


def _bare(experiment: Experiment, **fields: Any) -> Experiment:
    """Return an experiment of the same network and data, and else only what is given."""
    same = {name: getattr(experiment, name) for name in ("dataset", "model", "model_options")}
    return Experiment(**same, **fields, validation=0, batch_size=1, clipping=None)


@functools.lru_cache(maxsize=64)  # a sweep or a menu asks for every combination; building takes 10 ms
def _structure(
    experiment: Experiment, _factory: Callable[..., Any], info: DatasetInfo
) -> tuple[dict[str, torch.Size], list[str]]:
    module = models.build(experiment)
    models.check_data(module, experiment)
    network = Network(module)
    row = network.layout.row(module)
    view = LaneView(row, buffers=dict(module.named_buffers()))
    return weight_shapes(network), last_layers(trace(network, view, row.new_zeros(2, *info.shape)))


@functools.lru_cache(maxsize=64)
def _try_scoring(
    experiment: Experiment,
    _factory: Callable[..., Any],
    info: DatasetInfo,
    _criterion: Callable[..., Any],
) -> None:
    module = models.build(experiment)
    network, resolved = Network(module), resolve(pruning_of(experiment))
    row = network.layout.row(module)
    weights = {layer.name: layer.weight.view(row) for layer in network.layout.layers}
    context = ScoringContext(
        module=module,
        parameters=network.layout.views(row.unsqueeze(0)),
        buffers=dict(module.named_buffers()),
        layers=list(weights),
        x=row.new_zeros(2, *info.shape),
        labels=torch.zeros(2, dtype=torch.long),
        loss=registry.get("loss", experiment.loss).traits.value,
        generator=generator(0, 2, 0),
        memory={"initial_weight": weights, "movement": weights},
    )
    context.pruned = list(resolved.problems(*structure(experiment)))
    check_scorable(resolved.criterion.method, context, resolved.criterion.options)


def pruning_of(experiment: Experiment) -> Pruning:
    """Return an experiment's pruning, of one that has any."""
    assert experiment.pruning is not None
    return experiment.pruning


def weight_shapes(network: Network) -> dict[str, torch.Size]:
    """Return the shapes of a network's prunable weights, by layer."""
    return {layer.name: layer.weight.shape for layer in network.layout.layers}


def last_layers(dependencies: Mapping[str, UnitDependencies]) -> list[str]:
    """Return the layers whose units are the network's answers."""
    return [name for name, each in dependencies.items() if each.last]


def trace(network: Network, view: LaneView, x: Tensor) -> dict[str, UnitDependencies]:
    """Return which parameters depend on the units of each layer, as a few images, [B, C, H, W], show."""
    layers = {layer.weight.name: layer.name for layer in network.layout.layers}
    parameters = network.layout.views(view.row.unsqueeze(0))
    return trace_dependencies(network.module, parameters, view.buffers, layers, x)
