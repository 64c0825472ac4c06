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


def tf32() -> bool:
    """Whether float32 products on a GPU may round to TF32: faster, with about three digits instead of seven.

    The choice is torch's own, `torch.set_float32_matmul_precision("high")` or since torch 2.9
    `torch.backends.cuda.matmul.fp32_precision = "tf32"`; it is off unless it is made.
    """
    products = torch.backends.cuda.matmul
    if hasattr(products, "fp32_precision"):  # knows of both ways, where the older one may refuse to tell
        return bool(products.fp32_precision == "tf32")
    return bool(torch.get_float32_matmul_precision() != "highest")


def match_cudnn_tf32() -> None:
    """Gives convolutions, for which torch has TF32 on, the choice that was made for products."""
    torch.backends.cudnn.allow_tf32 = tf32()
