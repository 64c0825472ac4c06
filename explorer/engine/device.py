"""Which device a run is on."""

import torch

from explorer import registry


def pick_device(name: str) -> torch.device:
    """The device of that name, "auto" for a GPU where there is one; raises ValueError if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(registry.unknown("device", name, ("auto", "cpu", "cuda"))) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device = 'cuda', but torch sees no GPU here; use 'auto' or 'cpu'")
    return device
