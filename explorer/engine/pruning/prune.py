"""`prune`: a Pruning applied to any module of the user's, in place."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

from explorer import registry
from explorer.engine.data.random import generator
from explorer.engine.network import batch_norm
from explorer.engine.network.dependencies import trace_dependencies
from explorer.engine.network.layout import (
    PRUNABLE,
    check_weights,
    groups_of,
    left_out,
    prunable_parts,
    prunable_weights,
    warn_of_left_out,
)
from explorer.engine.pruning.masking import warn_of_fallen
from explorer.engine.pruning.resolved import ResolvedPruning, resolve, warn_of_problems
from explorer.engine.pruning.score_inputs import ScoringContext
from explorer.engine.pruning.scoring import score
from explorer.experiment import Pruning

WITHOUT_IMAGES = {"weight", "noise"}  # what criteria may ask for that no image passes the module for


def prune(
    module: nn.Module,
    pruning: Pruning,
    batch: tuple[Tensor, Tensor] | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    skip: Collection[str] = (),
) -> dict[str, Tensor]:
    """Prune a module's Linear and Conv layers in place, once, and return the masks by parameter name.

    The schedule plays no part: the threshold is applied now. What is zero already counts as pruned, whatever
    the criterion: by a share of 0.6 after one of 0.5, another tenth of all weights falls. Whole neurons are
    zeroed as rows of the weight, the last layer's too unless it is in `skip`. A weight that layers share is
    pruned once and stays shared; its mask stands under each of its names. To keep the zeros through later
    training, hand the masks to torch, which then multiplies them in at every forward pass:

        masks = ex.prune(net, ex.Pruning(threshold=0.8))
        for name, part in net.named_modules():
            if f"{name}.weight" in masks:
                torch.nn.utils.prune.custom_from_mask(part, "weight", masks[f"{name}.weight"])

    Args:
        module: any module; its mode and everything but the pruned weights stay as they are.
        pruning: criterion, granularity, allocation, threshold and unit. Of a neuron or filter the weights
            fall, as with torch; its bias, batch norm and readers, which fall with it in a run, stay.
        batch: images and labels, for criteria that score by data. Batch norms that no image has passed yet
            are scored with its statistics; and which layer is the last one, for `spare_last`, shows as it
            passes.
        loss: (outputs, labels) -> mean loss, for criteria that score by gradients.
        skip: names of layers, as in `module.named_modules()`, that are left alone; so is what they share.
            Other matrices than those of Linear and Conv layers, an LSTM's say, are left alone with a warning
            where they are not named here.

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
    warn_of_left_out(module, skip, ". Name them in skip if so it shall be")
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
    none = {context.weight_name(n): w.detach().bool() for n, w in weights.items() if not w.numel()}
    masks: dict[str, Tensor] = {}
    last: Collection[str] = ()
    if context.layers:
        with _eval_mode(module):
            context.buffers = _buffers(context, resolved)
            last = _last(context) if resolved.granularity.options.get("spare_last") else ()
            masks = _masks(context, resolved, pruning.threshold, last)
    with torch.no_grad():
        for name, keep in masks.items():
            context.parameters[name].masked_fill_(~keep, 0)
    shapes = {name: weights[name].shape for name in context.layers}
    warn_of_problems(pruning.granularity, resolved.problems(shapes, last))
    warn_of_fallen({name: bool(keep.any()) for name, keep in masks.items()}, pruning.threshold)
    return _by_every_name(module, masks | none)


def _layers(module: nn.Module, skip: Collection[str]) -> list[str]:
    """Return the layers to prune, of those that share a weight the first."""
    weights, others = prunable_weights(module), left_out(module)
    known = dict.fromkeys(prunable_parts(module))
    known |= dict.fromkeys(name for owners in weights.values() for name in owners)
    known |= {alias: None for name in others for alias in (name.rpartition(".")[0] or name, name)}
    for name in skip:
        if name not in known:
            raise ValueError(registry.unknown("skip", name, known))
    check_weights(module, skip)
    layers = [owners[0] for owners in weights.values() if not set(owners) & set(skip)]
    if not layers:
        raise ValueError(
            f"there is nothing to prune: {type(module).__name__} has no Linear or Conv layer to spare"
        )
    _check_writable(module)
    return layers


def _check_writable(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.is_inference() or torch.is_inference_mode_enabled():
            raise ValueError(
                f"{name!r} cannot be changed under torch.inference_mode(), or where it was made there: prune "
                "outside of it, what was made inside as a copy.deepcopy; torch.no_grad() may stay"
            )


def _buffers(context: ScoringContext, resolved: ResolvedPruning) -> dict[str, Tensor]:
    """Return the module's buffers, those of batch norms that no image has passed taken from the batch."""
    passes = not WITHOUT_IMAGES.issuperset(resolved.criterion.method.needs)
    if not (passes and context.x is not None and len(context.x) > 1):  # one image has no statistics
        return context.buffers
    if not batch_norm.lacks_statistics(context.module, context.buffers):
        return context.buffers
    return batch_norm.recalibrated(context.module, context.parameters, context.buffers, context.x)


def _last(context: ScoringContext) -> list[str]:
    """Return the layers whose units are the module's answers, as images pass; in a Sequential without any."""
    layers = {name: owners[0] for name, owners in prunable_weights(context.module).items()}
    if context.x is None:
        weight = _last_part(context.module).weight
        return [layer for name, layer in layers.items() if context.module.get_parameter(name) is weight]
    traced = trace_dependencies(context.module, context.parameters, context.buffers, layers, context.x[:2])
    return [layer for layer, each in traced.items() if each.last]


def _last_part(part: nn.Module) -> nn.Module:
    """Return the layer that a Sequential calls last; raise ValueError where images alone can tell."""
    if isinstance(part, PRUNABLE):
        return part
    if type(part).forward is not nn.Sequential.forward:
        raise ValueError(
            "spare_last spares the layer that answers, and which one that is shows only as images pass: give "
            "batch=(images, labels), or name the layer in skip instead"
        )
    return _last_part(
        next(p for p in reversed(part._modules.values()) if p is not None and prunable_parts(p))
    )


def _masks(
    context: ScoringContext, resolved: ResolvedPruning, threshold: float, last: Collection[str]
) -> dict[str, Tensor]:
    """Return what stays, by parameter; each of a criterion's rounds scores what the one before it leaves."""
    masks: dict[str, Tensor] = {}
    for share in resolved.way_to(threshold):
        left = {name: context.parameters[name].detach() * mask for name, mask in masks.items()}
        scene = replace(context, parameters=context.parameters | left, generator=generator(0, 2, 0))
        masks = _select(scene, resolved, share, last)
    return masks


def _select(
    context: ScoringContext, resolved: ResolvedPruning, threshold: float, last: Collection[str]
) -> dict[str, Tensor]:
    """Return what stays, by parameter; what is zero is pruned already."""
    weights = {layer: context.parameters[context.weight_name(layer)].detach() for layer in context.layers}
    names = resolved.eligible({layer: w.shape for layer, w in weights.items()}, last)
    context.pruned = names
    scores = score(resolved.criterion.method, context, resolved.criterion.options)
    by_layer = dict(zip(context.layers, scores, strict=True))
    shapes = [weights[name].shape for name in names]
    parts = prunable_parts(context.module)
    groups = [groups_of(parts[name]) for name in names]
    units = resolved.unit_scores([by_layer[name] for name in names], groups)
    nonzero = resolved.unit_scores([weights[name].ne(0).float().unsqueeze(0) for name in names], groups)
    masks = resolved.select_units(
        units,
        threshold,
        [share > 0 for share in nonzero],
        shapes=shapes,
        std_values=resolved.std_values([weights[name].flatten() for name in names], units),
    )
    expanded = resolved.expand(masks.units, shapes, groups)  # may be views of a unit each
    own = [mask.contiguous() for mask in expanded]
    return dict(zip(map(context.weight_name, names), own, strict=True))


def _by_every_name(module: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the masks of tied weights under each of their names, so that parts can be masked one by one."""
    names: dict[int, list[str]] = {}
    for prefix, part in module.named_modules():
        for name, parameter in part.named_parameters(prefix, recurse=False):
            names.setdefault(id(parameter), []).append(name)
    each = {name: names[id(module.get_parameter(name))] for name in masks}
    return {alias: masks[name].clone() for name, aliases in each.items() for alias in aliases}


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode inside; parts that were frozen there stay so."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
