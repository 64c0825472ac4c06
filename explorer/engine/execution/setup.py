"""What the runs of a stack share, from the first step to the last.

Shapes: L lanes, P parameters, B batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from explorer import registry
from explorer.engine.data import datasets
from explorer.engine.data.dataset_info import check_sizes, steps_per_epoch
from explorer.engine.data.datasets import Images, Split
from explorer.engine.data.device import match_cudnn_tf32, pick_device
from explorer.engine.data.random import generator
from explorer.engine.network import models
from explorer.engine.network.forward_backward import Network
from explorer.engine.network.state import State
from explorer.experiment import Experiment
from explorer.registry import Method
from explorer.traits import LossTraits, OptimizerTraits


@dataclass(frozen=True)
class Setup:
    """Network, images and recipe of a stack; nothing in it changes while the stack trains.

    `together` has all rows in one product, as is best on a GPU, instead of one after the other, as is best
    on a CPU.
    """

    network: Network
    initialise: Callable[[torch.Generator], nn.Module]  # returns a module with new weights
    split: Split
    loss: Method[LossTraits]
    optimizer: Method[OptimizerTraits]
    lr_decay: Callable[[float], float]
    batch_size: int
    per_epoch: int  # steps; the last may have fewer images
    epochs: int
    normalise: bool
    device: torch.device
    dtype: torch.dtype
    together: bool

    @classmethod
    def of(
        cls, experiment: Experiment, device: str, dtype: torch.dtype, *, together: bool | None = None
    ) -> "Setup":
        """Return the setup of all experiments that can train in one stack with this one."""
        chosen = pick_device(device)
        cuda = chosen.type == "cuda"
        if cuda:
            match_cudnn_tf32()
        check_sizes(experiment)
        split = datasets.split(experiment.dataset, chosen, experiment.validation)
        network = Network(models.build(experiment))
        outputs = models.check_data(network.module, experiment)
        return cls(
            network=network,
            initialise=partial(models.initialised, experiment),
            split=models.relabel(split, experiment, outputs),
            loss=registry.get("loss", experiment.loss),
            optimizer=registry.get("optimizer", experiment.optimizer),
            lr_decay=registry.get("lr_decay", experiment.lr_decay),
            batch_size=experiment.batch_size,
            per_epoch=steps_per_epoch(experiment),
            epochs=experiment.epochs,
            normalise=experiment.normalise,
            device=chosen,
            dtype=dtype,
            together=cuda if together is None else together,
        )

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.per_epoch * self.epochs

    def batch_images(self, step: int) -> int:
        """Return how many images a step learns from: the last one of an epoch may have fewer."""
        return min(self.batch_size, len(self.split.train) - step % self.per_epoch * self.batch_size)

    def lr_factor(self, step: int) -> float:
        """Return the factor of all learning rates at a step."""
        return self.lr_decay(step / self.total)

    def new_state(self, seeds: Sequence[int], *, movement: bool, early: bool) -> State:
        """Return untrained weights, one row a seed.

        Args:
            seeds: which decide the initial weights.
            movement: have room for how weights move from the first step on, which some criteria ask for.
            early: have room for early weights, which some schedules go back to.
        """
        modules = [self.initialise(generator(seed, 0)).to(self.device, self.dtype) for seed in seeds]
        theta = torch.stack([self.network.layout.row(module) for module in modules])
        memory = {"initial_weight": theta.clone()}
        if movement:
            memory["movement"] = torch.zeros_like(theta)
        if early:
            memory["early"] = theta.clone()
        named = [dict(module.named_buffers()) for module in modules]
        buffers = {name: torch.stack([each[name] for each in named]) for name in named[0]}
        return State(theta, criterion_memory=memory, buffers=buffers)

    def inputs(self, images: Images) -> tuple[Tensor, Tensor]:
        """Return images as the network takes them, [n, *shape], and their labels, [n]."""
        if images is self.split.validation:
            return self._validation_inputs
        return images.inputs(self.normalise, self.dtype), images.labels

    @cached_property
    def _validation_inputs(self) -> tuple[Tensor, Tensor]:
        """Normalised once, for all runs that hold out the same images: they are looked at again and again."""
        held_out, key = self.split.validation, (self.normalise, self.dtype)
        # beside the fields, as equality and `replace` do not see it; it lasts as long as some run needs it
        prepared = vars(held_out).setdefault("_prepared", WeakValueDictionary())
        inputs = prepared.get(key)
        if inputs is None:
            inputs = prepared[key] = held_out.inputs(*key)
        return inputs, held_out.labels
