"""`prune`: a Pruning applied to any module of the user's, in place."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

from explorer import registry
from explorer.engine.data.random import generator
from explorer.engine.network.layout import PRUNABLE
from explorer.engine.pruning import masking
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
    """Prunes a module's Linear and Conv layers in place, once, and returns the masks by parameter name.

    The schedule plays no part: the threshold is applied now. Whole neurons are zeroed as rows of the weight,
    the last layer's too unless it is in `skip`. To keep the zeros through later training, hand the masks to
    torch, which then multiplies them in at every forward pass:

        masks = ex.prune(net, ex.Pruning(threshold=0.8))
        for name, part in net.named_modules():
            if f"{name}.weight" in masks:
                torch.nn.utils.prune.custom_from_mask(part, "weight", masks[f"{name}.weight"])

    Args:
        module: any module; its mode and everything but the pruned weights stay as they are.
        pruning: criterion, granularity, allocation, threshold and unit.
        batch: images and labels, for criteria that score by data.
        loss: (outputs, labels) -> mean loss, for criteria that score by gradients.
        skip: names of layers, as in `module.named_modules()`, that are left alone.

    Raises:
        ValueError: where a criterion needs a batch and there is none, where a name in `skip` is unknown, or
            where nothing is left to prune.
    """
    if registry.get("granularity", pruning.granularity).traits.get("identity"):
        raise ValueError(
            f"granularity = {pruning.granularity!r} puts the identity in the place of layers, which a mask "
            "cannot say; use ex.train"
        )
    names = _layers(module, skip)
    scene = ScoringContext(
        module=module,
        parameters=dict(module.named_parameters()),
        layers=names,
        x=batch[0] if batch else None,
        labels=batch[1] if batch else None,
        loss=loss,
        generator=generator(0, 2, 0),
        buffers=dict(module.named_buffers()),
    )
    masks = _masks(module, scene, pruning)
    with torch.no_grad():
        for name, keep in masks.items():
            scene.parameters[name].masked_fill_(~keep, 0)
    return masks


def _layers(module: nn.Module, skip: Collection[str]) -> list[str]:
    found = [name or "weight" for name, part in module.named_modules() if isinstance(part, PRUNABLE)]
    for name in skip:
        if name not in found:
            raise ValueError(registry.unknown("skip", name, found))
    left = [name for name in found if name not in skip]
    if not left:
        raise ValueError(
            f"there is nothing to prune: {type(module).__name__} has no Linear or Conv layer to spare"
        )
    _check_plain(module, left)
    return left


def _check_plain(module: nn.Module, layers: Collection[str]) -> None:
    """A weight that torch computes at every forward pass can't be pruned in place: it would come back."""
    parameters = dict(module.named_parameters())
    for name in layers:
        if name not in parameters and f"{name}.weight" not in parameters:
            raise ValueError(
                f"layer {name!r} has no plain weight, torch holds it behind a mask or a parametrization; "
                "make that permanent first, for instance by torch.nn.utils.prune.remove(layer, 'weight')"
            )


def _masks(module: nn.Module, scene: ScoringContext, pruning: Pruning) -> dict[str, Tensor]:
    modes = [(part, part.training) for part in module.modules()]  # a frozen one stays so
    module.eval()
    try:
        criterion = registry.get("criterion", pruning.criterion)
        scores = score(criterion, scene, pruning.own("criterion"))
    finally:
        for part, training in modes:
            part.training = training
    weights = {layer: scene.parameters[scene.weight_name(layer)] for layer in scene.layers}
    last = scene.layers[-1:] if pruning.options.get("spare_last") else ()
    names = masking.eligible({layer: w.shape for layer, w in weights.items()}, last, pruning)
    shapes = [weights[name].shape for name in names]
    scored = dict(zip(scene.layers, scores, strict=True))
    units = masking.unit_scores([scored[name] for name in names], pruning)
    alive = [torch.ones_like(u, dtype=torch.bool) for u in units]
    spread = masking.spread(pruning, [weights[name].detach().flatten() for name in names])
    kept = masking.select_units(units, pruning, pruning.threshold, alive, shapes=shapes, spread=spread)
    slices = [scene.weight_name(name) for name in names]
    return dict(zip(slices, masking.expand(kept.units, shapes, pruning), strict=True))
