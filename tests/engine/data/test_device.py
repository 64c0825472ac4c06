"""TF32: off unless it is chosen, the same for products and convolutions, and on record."""

from types import SimpleNamespace

import pytest
import torch

import explorer as ex
from explorer.engine.data.device import match_cudnn_tf32, pick_device, tf32


@pytest.fixture(autouse=True)
def as_it_was():
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions


@pytest.mark.parametrize(("chosen", "on"), [("highest", False), ("high", True)])
def test_convolutions_round_as_products_do(chosen, on):
    torch.backends.cudnn.allow_tf32 = not on
    torch.set_float32_matmul_precision(chosen)
    match_cudnn_tf32()
    assert tf32() is on
    assert torch.backends.cudnn.allow_tf32 is on


PRODUCTS = torch.backends.cuda.matmul
# the newer way to choose, which torch has from 2.9 on
NEWER = [PRODUCTS] if hasattr(PRODUCTS, "fp32_precision") else []


@pytest.mark.parametrize("products", [*NEWER, SimpleNamespace(fp32_precision="ieee")])
def test_the_choice_may_be_made_the_newer_way(products, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "matmul", products)
    before, products.fp32_precision = products.fp32_precision, "tf32"
    try:
        match_cudnn_tf32()
        assert tf32() is True
        assert torch.backends.cudnn.allow_tf32 is True
    finally:
        products.fp32_precision = before
    assert tf32() is False


def test_it_is_off_unless_it_is_chosen():
    assert tf32() is False


def test_a_run_says_that_it_did_without(tiny):
    torch.set_float32_matmul_precision("high")  # a CPU knows no TF32
    assert ex.train(tiny(), device="cpu", progress=False).summary["tf32"] is False


def test_a_missing_gpu_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch sees no GPU here; use 'auto' or 'cpu'"):
        pick_device("cuda")


def test_a_wrong_name_is_told():
    with pytest.raises(ValueError, match="cuda"):
        pick_device("cud")
