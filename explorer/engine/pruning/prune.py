"""`prune`: a Pruning applied to any module of the user's, in place."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it
from torch.nn.parameter import UninitializedParameter

from explorer import registry
from explorer.engine.data.random import generator
from explorer.engine.network.layout import PRUNABLE, groups_of
from explorer.engine.pruning.resolved import ResolvedPruning, resolve, warn_of_problems
from explorer.engine.pruning.score_inputs import ScoringContext
from explorer.engine.pruning.scoring import score
from explorer.experiment import Pruning


def prune(
    module: nn.Module,
    pruning: Pruning,
    batch: tuple[Tensor, Tensor] | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    skip: Collection[str] = (),
) -> dict[str, Tensor]:
    """Prune a module's Linear and Conv layers in place, once, and return the masks by parameter name.

    The schedule plays no part: the threshold is applied now. Whole neurons are zeroed as rows of the weight,
    the last layer's too unless it is in `skip`. To keep the zeros through later training, hand the masks to
    torch, which then multiplies them in at every forward pass:

        masks = ex.prune(net, ex.Pruning(threshold=0.8))
        for name, part in net.named_modules():
            if f"{name}.weight" in masks:
                torch.nn.utils.prune.custom_from_mask(part, "weight", masks[f"{name}.weight"])

    Args:
        module: any module; its mode and everything but the pruned weights stay as they are.
        pruning: criterion, granularity, allocation, threshold and unit. Of a neuron or filter the weights
            fall, as with torch; its bias, batch norm and readers, which fall with it in a run, stay.
        batch: images and labels, for criteria that score by data.
        loss: (outputs, labels) -> mean loss, for criteria that score by gradients.
        skip: names of layers, as in `module.named_modules()`, that are left alone.

    Raises:
        ValueError: where a criterion needs a batch and there is none, or an empty one, where a name in `skip`
            is unknown, or where nothing is left to prune.
        TypeError: where `pruning` is no Pruning.
    """
    if not isinstance(pruning, Pruning):
        raise TypeError(f"pruning = {pruning!r}: give an ex.Pruning, such as ex.Pruning(threshold=0.9)")
    if batch is not None and not len(batch[0]) == len(batch[1]) > 0:
        raise ValueError(
            f"batch has {len(batch[0])} images and {len(batch[1])} labels: give one or more, a label to each"
        )
    resolved = resolve(pruning)
    if resolved.granularity.traits.identity:
        raise ValueError(
            f"granularity = {pruning.granularity!r} puts the identity in the place of layers, which a mask "
            "cannot say; use ex.train"
        )
    names = _layers(module, skip)
    context = ScoringContext(
        module=module,
        parameters=dict(module.named_parameters()),
        layers=names,
        x=batch[0] if batch else None,
        labels=batch[1] if batch else None,
        loss=loss,
        generator=generator(0, 2, 0),
        buffers=dict(module.named_buffers()),
    )
    weights = {name: context.parameters[context.weight_name(name)] for name in names}
    context.layers = [name for name in names if weights[name].numel()]
    masks = _masks(module, context, resolved, pruning.threshold) if context.layers else {}
    none = {context.weight_name(n): w.detach().bool() for n, w in weights.items() if not w.numel()}
    with torch.no_grad():
        for name, keep in masks.items():
            context.parameters[name].masked_fill_(~keep, 0)
    shapes = {name: weights[name].shape for name in context.layers}
    warn_of_problems(pruning.granularity, resolved.problems(shapes, ()))
    return masks | none


def _layers(module: nn.Module, skip: Collection[str]) -> list[str]:
    prunable = [name or "weight" for name, part in module.named_modules() if isinstance(part, PRUNABLE)]
    for name in skip:
        if name not in prunable:
            raise ValueError(registry.unknown("skip", name, prunable))
    layers = [name for name in prunable if name not in skip]
    if not layers:
        raise ValueError(
            f"there is nothing to prune: {type(module).__name__} has no Linear or Conv layer to spare"
        )
    _check_plain(module, layers)
    return layers


def _check_plain(module: nn.Module, layers: Collection[str]) -> None:
    """Refuse a weight that torch computes at every forward pass: pruned in place it would come back."""
    parameters = dict(module.named_parameters())
    for name in layers:
        if name not in parameters and f"{name}.weight" not in parameters:
            raise ValueError(
                f"layer {name!r} has no plain weight, torch holds it behind a mask or a parametrization; "
                "make that permanent first, for instance by torch.nn.utils.prune.remove(layer, 'weight')"
            )
    for name, parameter in parameters.items():
        if isinstance(parameter, UninitializedParameter):
            raise ValueError(f"{name!r} has no values yet: call the module once on a batch, then prune it")
        if parameter.is_meta:
            raise ValueError(f"{name!r} is on device 'meta', without values: load the module's weights first")
        if parameter.is_inference() or torch.is_inference_mode_enabled():
            raise ValueError(
                f"{name!r} cannot be changed under torch.inference_mode(), or where it was made there: prune "
                "outside of it, what was made inside as a copy.deepcopy; torch.no_grad() may stay"
            )


def _masks(
    module: nn.Module, context: ScoringContext, resolved: ResolvedPruning, threshold: float
) -> dict[str, Tensor]:
    weights = {layer: context.parameters[context.weight_name(layer)].detach() for layer in context.layers}
    last = context.layers[-1:] if resolved.granularity.options.get("spare_last") else ()
    names = resolved.eligible({layer: w.shape for layer, w in weights.items()}, last)
    context.pruned = names
    scores = dict(zip(context.layers, _scores(module, context, resolved), strict=True))
    shapes = [weights[name].shape for name in names]
    groups = [groups_of(module.get_submodule("" if name == "weight" else name)) for name in names]
    units = resolved.unit_scores([scores[name] for name in names], groups)
    masks = resolved.select_units(
        units,
        threshold,
        [torch.ones_like(u, dtype=torch.bool) for u in units],
        shapes=shapes,
        std_values=resolved.std_values([weights[name].flatten() for name in names], units),
    )
    parameters = [context.weight_name(name) for name in names]
    expanded = resolved.expand(masks.units, shapes, groups)  # may be views of a unit each
    own = [mask.contiguous() for mask in expanded]
    return dict(zip(parameters, own, strict=True))


def _scores(module: nn.Module, context: ScoringContext, resolved: ResolvedPruning) -> list[Tensor]:
    """Score in eval mode; parts that were frozen there stay so."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        return score(resolved.criterion.method, context, resolved.criterion.options)
    finally:
        for part, training in modes:
            part.training = training
