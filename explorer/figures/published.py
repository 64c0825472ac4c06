"""What papers have published for the networks of the zoo: `explorer/data/published.csv`, with its sources."""

from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

TABLE = Path(__file__).parent.parent / "data" / "published.csv"
SOURCE, WITH_DENSE = "{paper}: {remark}", "; dense {dense:.2f} %"


@cache
def table() -> pl.DataFrame:
    """Return all points: model, paper, sparsity, dense_error, error (test, in percent), remark, url."""
    return pl.read_csv(TABLE, comment_prefix="#")


def of(model: str) -> dict[str, list[Any]]:
    """Return a model's points as the "published" columns of the trade-off; no rows where there are none."""
    found = table().filter(pl.col("model") == model).to_dicts()
    return {
        "compression": [1 / (1 - row["sparsity"]) for row in found],
        "error": [row["error"] for row in found],
        "sparsity": [100 * row["sparsity"] for row in found],
        "source": [_source(row) for row in found],
        "url": [row["url"] for row in found],
    }


def _source(row: dict[str, Any]) -> str:
    dense = "" if row["dense_error"] is None else WITH_DENSE.format(dense=row["dense_error"])
    return SOURCE.format(**row) + dense
