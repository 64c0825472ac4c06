"""Numbers of a run's own: a generator for each purpose."""

import torch

from explorer.engine.data.random import generator


def test_generators_for_different_purposes_differ():
    keys = [(0, 0), (0, 1, 0), (0, 1, 1), (1, 0), (1, 1, 0), (0, 2, 0), (0, 2, 1)]
    numbers = [torch.rand(4, generator=generator(*key)).tolist() for key in keys]
    assert len({tuple(n) for n in numbers}) == len(keys)
    assert numbers[0] == torch.rand(4, generator=generator(0, 0)).tolist()
