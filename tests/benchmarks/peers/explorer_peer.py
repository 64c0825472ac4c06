"""The explorer itself: its engine, with its records and its final test."""

import numpy as np

from explorer.engine.execution import kernel_loader
from explorer.engine.training.train import runs_of
from explorer.engine.training.trainer import Trainer
from peers.work import Peer, Work

if kernel_loader.available():
    kernel_loader.kernels()  # an import like the others


def stacked(work: Work) -> Peer:
    """All variants as lanes of one stack, as a sweep trains them; one variant is a stack of one."""
    return _peer(work, [work.experiments])


def one_by_one(work: Work) -> Peer:
    """The same variants, one run after the other."""
    return _peer(work, [[experiment] for experiment in work.experiments])


def _peer(work: Work, stacks: list) -> Peer:
    trainers: list[Trainer] = []

    def prepare() -> None:
        trainers[:] = [Trainer(stack, work.device) for stack in stacks]

    def train() -> None:
        for trainer in trainers:
            trainer.rewindable = False  # as in train and sweep
            for _ in trainer.run():
                pass

    def weights() -> dict[str, np.ndarray]:
        runs = [run for trainer in trainers for run in runs_of(trainer, "done")]
        states = [run.model().state_dict() for run in runs]
        return {name: np.stack([state[name].cpu().numpy() for state in states]) for name in states[0]}

    return Peer(prepare, train, weights)
