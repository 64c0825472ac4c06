"""The embedded images are the original ones, and every image is used once an epoch."""

import hashlib
import sys

import numpy as np
import pytest
import torch

from explorer import registry
from explorer.data import build
from explorer.engine.data import datasets
from explorer.engine.data.random import shuffled_indices
from explorer.engine.training.trainer import Trainer

CPU = torch.device("cpu")
# sha256 of the pixel and label bytes, as the four published IDX files have them
SHA256 = {
    "train_images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "train_labels": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "test_labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
HISTOGRAM = {
    "train_labels": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test_labels": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture(scope="module")
def arrays():
    with np.load(datasets.EMBEDDED) as file:
        return dict(file)


def test_the_embedded_images_are_the_original_ones(arrays):
    assert {n: a.shape for n, a in arrays.items()} == {
        "train_images": (60_000, 28, 28),
        "train_labels": (60_000,),
        "test_images": (10_000, 28, 28),
        "test_labels": (10_000,),
    }
    assert all(a.dtype == np.uint8 for a in arrays.values())
    assert {n: hashlib.sha256(a.tobytes()).hexdigest() for n, a in arrays.items()} == SHA256


def test_each_digit_occurs_as_often_as_published(arrays):
    for name, counts in HISTOGRAM.items():
        assert np.bincount(arrays[name]).tolist() == counts


def test_mean_and_deviation_are_those_of_the_training_pixels(arrays):
    x = arrays["train_images"].reshape(60_000, 784).astype(np.float32) / 255
    mean = x.mean(dtype=np.float64)
    square = np.einsum("ij,ij->i", x, x).mean(dtype=np.float64) / 784
    assert mean == pytest.approx(datasets.MEAN, abs=5e-5)
    assert np.sqrt(square - mean**2) == pytest.approx(datasets.STD, abs=5e-5)


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return head + array.tobytes()


def test_idx_files_are_read_and_checked(tmp_path, monkeypatch):
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "few").write_bytes(idx(images))
    monkeypatch.setitem(build.MD5, "few", hashlib.md5(idx(images)).hexdigest())
    assert np.array_equal(build.read_idx(tmp_path, "few"), images)
    (tmp_path / "few").write_bytes(idx(images + 1))
    with pytest.raises(ValueError, match="few has md5"):
        build.read_idx(tmp_path, "few")


def test_labels_rebuild_the_published_file(arrays):
    assert hashlib.md5(idx(arrays["test_labels"])).hexdigest() == build.MD5["t10k-labels-idx1-ubyte"]
    assert hashlib.md5(idx(arrays["test_images"])).hexdigest() == build.MD5["t10k-images-idx3-ubyte"]
    assert hashlib.md5(idx(arrays["train_labels"])).hexdigest() == build.MD5["train-labels-idx1-ubyte"]
    assert hashlib.md5(idx(arrays["train_images"])).hexdigest() == build.MD5["train-images-idx3-ubyte"]


def test_images_stay_bytes_in_memory():
    train, test = datasets.load("mnist", CPU)
    assert train.pixels.dtype == test.pixels.dtype == torch.uint8
    assert train.pixels.shape == (60_000, 1, 28, 28)
    assert train.labels.dtype == torch.int64


def test_split_sizes_and_parts():
    parts = datasets.split("mnist", CPU, 5000)
    train, test = datasets.load("mnist", CPU)
    assert [len(p) for p in (parts.train, parts.validation, parts.test)] == [55_000, 5_000, 10_000]
    assert torch.equal(parts.train.pixels, train.pixels[:55_000])
    assert torch.equal(parts.validation.labels, train.labels[55_000:])
    assert torch.equal(parts.test.pixels, test.pixels)


def test_without_validation_all_images_train():
    parts = datasets.split("mnist", CPU, 0)
    assert (len(parts.train), len(parts.validation)) == (60_000, 0)


def test_more_validation_than_images_is_refused(tiny):
    with pytest.raises(ValueError, match="validation = 600"):
        datasets.split(tiny().dataset, CPU, 600)


def numbered(count):
    """Images that carry their own number as label."""
    return datasets.Images(torch.zeros(count, 1, 28, 28, dtype=torch.uint8), torch.arange(count))


def labels(exp, epoch, skip=0):
    order = shuffled_indices(1000, exp.seed, epoch)
    batches = datasets.batches(
        numbered(1000), order, exp.batch_size, normalise=True, dtype=torch.float32, skip=skip
    )
    return [y for _, y in batches]


def test_an_epoch_uses_every_image_once_and_drops_none(tiny):
    batches = labels(tiny(batch_size=3), 0)
    assert [len(b) for b in batches] == [3] * 333 + [1]
    assert torch.cat(batches).sort().values.equal(torch.arange(1000))


def test_images_and_labels_stay_together(tiny):
    images = datasets.split("tiny", CPU, 100).train if tiny() else None
    for x, y in datasets.batches(images, torch.randperm(500), 32, normalise=False, dtype=torch.float64):
        pixels = x.mul(255).round().to(torch.uint8)
        for image, label in zip(pixels, y, strict=True):
            same = (images.pixels == image).flatten(1).all(1)
            assert label in images.labels[same]
        break


def test_order_depends_on_seed_and_epoch_alone(tiny):
    first = torch.cat(labels(tiny(), 0))
    torch.rand(7)
    assert torch.equal(first, torch.cat(labels(tiny(lr=0.3, pruning=None), 0)))
    assert not torch.equal(first, torch.cat(labels(tiny(), 1)))
    assert not torch.equal(first, torch.cat(labels(tiny(seed=1), 0)))
    assert torch.equal(shuffled_indices(1000, 5, 2).sort().values, torch.arange(1000))


@pytest.mark.parametrize("skip", [1, 15, 16, 17, 31])
def test_skipping_continues_where_it_left_off(tiny, skip):
    whole = labels(tiny(), 3)
    rest = labels(tiny(), 3, skip)
    assert len(rest) == len(whole) - skip
    assert all(torch.equal(a, b) for a, b in zip(whole[skip:], rest, strict=True))


def test_normalisation_formula():
    pixels = torch.arange(256, dtype=torch.uint8)
    x = torch.arange(256, dtype=torch.float64)
    torch.testing.assert_close(
        datasets.normalised(pixels, True, torch.float64), (x / 255 - 0.1307) / 0.3081, rtol=1e-13, atol=1e-13
    )
    torch.testing.assert_close(datasets.normalised(pixels, False, torch.float64), x / 255, rtol=1e-15, atol=0)
    assert pixels.dtype == torch.uint8
    assert pixels[255] == 255


def idx_folder(root, kind, names=("train", "t10k")):
    """The four files of a data set, as torchvision unpacks them."""
    folder = root / kind / "raw"
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        images = np.full((3 + i, 28, 28), 51 * (i + 1), dtype=np.uint8)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(3 + i, dtype=np.uint8)))


CACHED = [("fashion-mnist", "FashionMNIST", 0.2860, 0.3530), ("kmnist", "KMNIST", 0.1918, 0.3483)]


@pytest.mark.parametrize("cached", CACHED, ids=lambda c: c[0])
def test_cached_data_sets_need_no_network(tmp_path, monkeypatch, cached):
    name, kind, mean, std = cached
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda app: str(tmp_path / app))
    idx_folder(tmp_path / "pruning-explorer", kind)
    train, test = registry.get("dataset", name)()
    assert (train.pixels.shape, test.pixels.shape) == ((3, 1, 28, 28), (4, 1, 28, 28))
    assert (train.pixels.dtype, train.labels.dtype) == (torch.uint8, torch.int64)
    assert train.labels.tolist() == [0, 1, 2]
    x = train[slice(1, 2)].inputs(True, torch.float64)
    assert x.unique().tolist() == pytest.approx([(51 / 255 - mean) / std])  # its own pixels' constants


@pytest.mark.parametrize("cached", CACHED, ids=lambda c: c[0])
@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("Error downloading raw")])
def test_a_data_set_that_cannot_be_had_says_what_to_do(tmp_path, monkeypatch, cached, error):
    name, kind, *_ = cached

    def offline(*_, **__):
        raise error

    monkeypatch.setattr("platformdirs.user_cache_dir", lambda app: str(tmp_path / app))
    monkeypatch.setattr(f"torchvision.datasets.{kind}", offline)
    with pytest.raises(ValueError, match=f"dataset = '{name}'.*{error}.*network") as raised:
        registry.get("dataset", name)()
    assert str(tmp_path / "pruning-explorer" / kind / "raw") in str(raised.value)


def test_a_bare_worker_says_what_it_lacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match="dataset = 'kmnist' needs torchvision: pip install torchvision"):
        registry.get("dataset", "kmnist")()


def test_a_run_normalises_by_the_constants_of_its_images(tiny, scratch_registry):
    def white(count):
        pixels = torch.full((count, 1, 28, 28), 255, dtype=torch.uint8)
        return datasets.Images(pixels, torch.arange(count) % 10, mean=0.5, std=0.25)

    scratch_registry.register("dataset", "own")(lambda: (white(400), white(100)))
    trainer = Trainer([tiny(dataset="own", pruning={"criterion": "gradient"})], "cpu")
    assert next(trainer.executor.batches(0))[0][0].unique().tolist() == [2.0]  # (1 − 0.5) / 0.25
    assert trainer.observer.validation[0].unique().tolist() == [2.0]
    assert trainer.pruner.scoring_images(True).unique().tolist() == [2.0]
    assert trainer.pruner.scoring_images(False).unique().tolist() == [1.0]
