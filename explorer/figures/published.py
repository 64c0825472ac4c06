"""What papers have published for the networks of the zoo: `explorer/data/published.csv`, with its sources."""

from functools import cache
from importlib import resources
from typing import Any

import polars as pl

SOURCE, WITH_DENSE = "{paper}: {remark}", "; dense {dense:.2f} %"


@cache
def table() -> pl.DataFrame:
    """Return all points: model, paper, sparsity, dense_error, error (test, in percent), remark, url."""
    text = resources.files("explorer.data").joinpath("published.csv").read_bytes()
    return pl.read_csv(text, comment_prefix="#")


def of(model: str) -> dict[str, list[Any]]:
    """Return a model's points as the "published" columns of the trade-off; no rows where there are none."""
    points = table().filter(pl.col("model") == model).to_dicts()
    return {
        "compression": [1 / (1 - row["sparsity"]) for row in points],
        "error": [row["error"] for row in points],
        "sparsity": [100 * row["sparsity"] for row in points],
        "source": [_source(row) for row in points],
        "url": [row["url"] for row in points],
    }


def _source(row: dict[str, Any]) -> str:
    dense = "" if row["dense_error"] is None else WITH_DENSE.format(dense=row["dense_error"])
    return SOURCE.format(**row) + dense
