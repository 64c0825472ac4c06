"""Which device a run is on, and whether its float32 products may round to TF32."""

import torch

from explorer import registry


def pick_device(name: str) -> torch.device:
    """Return the device of that name, "auto" for a GPU where there is one; ValueError if it is not there."""
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
    """Return whether float32 products on a GPU may round to TF32: faster, three digits instead of seven.

    The choice is torch's own, `torch.set_float32_matmul_precision("high")` or since torch 2.9
    `torch.backends.cuda.matmul.fp32_precision = "tf32"`; it is off unless it is made.
    """
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):  # knows of both ways, where the older one may refuse to tell
        return bool(matmul.fp32_precision == "tf32")
    return bool(torch.get_float32_matmul_precision() != "highest")


def match_cudnn_tf32() -> None:
    """Give convolutions, for which torch has TF32 on, the choice that was made for products."""
    torch.backends.cudnn.allow_tf32 = tf32()
