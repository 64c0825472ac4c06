"""Builds `mnist.npz` from the four original IDX files: `python -m explorer.data.build FOLDER`.

FOLDER holds the files as they are published, gzipped or not. Each is checked against its md5 sum, so
that the embedded data set is the original to the bit.

MNIST is by Yann LeCun, Corinna Cortes and Christopher J. C. Burges; licence CC BY-SA 3.0.
"""

import argparse
import gzip
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def read_idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    """Read one IDX file of bytes; raises ValueError if it is not the original."""
    zipped = folder / f"{name}.gz"
    raw = gzip.decompress(zipped.read_bytes()) if zipped.exists() else (folder / name).read_bytes()
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if digest != MD5[name]:
        raise ValueError(f"{name} has md5 {digest}; the original has {MD5[name]}: fetch the file again")
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def build(folder: Path, target: Path) -> None:
    """Write the four arrays to one compressed file: 60,000 training and 10,000 test images."""
    np.savez_compressed(
        target,
        train_images=read_idx(folder, "train-images-idx3-ubyte"),
        train_labels=read_idx(folder, "train-labels-idx1-ubyte"),
        test_images=read_idx(folder, "t10k-images-idx3-ubyte"),
        test_labels=read_idx(folder, "t10k-labels-idx1-ubyte"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", type=Path, default=Path(__file__).with_name("mnist.npz"))
    arguments = parser.parse_args()
    build(arguments.folder, arguments.target)
