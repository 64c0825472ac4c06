"""From the readings in `results/`: the README's tables of speed, the goals, and the figure of cost.

python tests/benchmarks/report.py [--write]     # prints the tables; --write puts them into the README
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[2] / "README.md"
Row = dict[str, Any]

TITLES = {
    "explorer": "the explorer, with its records and its final test",
    "JAX": "JAX, an epoch one compiled `lax.scan`",
    "PyTorch, resident": "PyTorch, all images one tensor, autograd and torch's SGD",
    "torch.nn.utils.prune": "the same with `torch.nn.utils.prune`",
    "articles' loop": "the articles' loop (torchvision, DataLoader, a mask a parameter)",
    "matrix products": "the bare matrix products",
}
# what, the numerator's and the denominator's rows, at least
GOALS: dict[str, tuple[Row, Row, float]] = {
    "articles' loop / explorer": ({"contender": "articles' loop"}, {}, 12),
    "JAX / explorer": ({"contender": "JAX"}, {}, 1.1),
    "JAX / explorer, to the first epoch": ({"contender": "JAX", "first": True}, {"first": True}, 4),
    "matrix products / explorer": ({"contender": "matrix products"}, {}, 0.38),
    "JAX / explorer, 16 variants": ({"contender": "JAX", "lanes": 16}, {"lanes": 16}, 1.0),
}
BASIS: Row = {"contender": "explorer", "lanes": 1, "hidden": 128, "epochs": 1, "first": False}


def readings() -> dict[str, Row | None]:
    """The newest reading on a CPU and on a GPU; None where there is none."""
    found: dict[str, Row | None] = {"cpu": None, "cuda": None}
    for reading in sorted(_kept("throughput"), key=lambda each: each["machine"]["date"]):
        found["cuda" if reading["machine"].get("gpu") else "cpu"] = reading
    return found


def _kept(kind: str) -> list[Row]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob(f"{kind}-*.json"))]


def median(reading: Row | None, **wanted: Any) -> float | None:
    """The median of a row, in seconds; None where it is unmeasured."""
    wanted = BASIS | wanted
    for row in reading["rows"] if reading else ():
        if all(row.get(name, False) == value for name, value in wanted.items()) and row.get("seconds"):
            return statistics.median(row["seconds"])
    return None


def line(row: Row) -> str:
    """A row for the terminal."""
    what = f"{row['contender']:22} {row['lanes']:3} × {row['hidden']:3}, {row['epochs']} epochs"
    what += ", to the first" if row.get("first") else ""
    if "unmeasured" in row:
        return f"{what:54} unmeasured: {row['unmeasured']}"
    seconds = row["seconds"]
    spread = f"{min(seconds):.3f} to {max(seconds):.3f}, n = {len(seconds)}"
    return f"{what:54} {statistics.median(seconds):8.3f} s ({spread})"


def decisions(reading: Row) -> str:
    """Each goal and whether it is met."""
    lines = []
    for what, (above, below, least) in GOALS.items():
        a, b = median(reading, **above), median(reading, **below)
        told = "unmeasured" if not (a and b) else f"{a / b:6.2f} {'met' if a / b >= least else 'MISSED'}"
        lines.append(f"{what:36} goal ≥ {least:<4} {told}")
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "unmeasured" if value is None else f"{value:.2f} s"


def _times(value: float | None, own: float | None) -> str:
    return "unmeasured" if value is None or own is None else f"{value / own:.2f} ×"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def speed() -> str:
    """The README's section on training, from the readings."""
    found = readings()
    cpu = found["cpu"]
    about = cpu["machine"] if cpu else {}
    n = cpu["n"] if cpu else 0
    versions = ", ".join(f"{name} {about[name]}" for name in ("torch", "jax") if about.get(name))
    intro = (
        f"Read on an {about.get('cpu')} with {about.get('cores')} cores, {about.get('threads')} threads for "
        f"torch, {versions}, {about.get('date')}; rounds are interleaved, n = {n}. {_jax(cpu)}These "
        "machines are shared, so trust the ratios more than the times."
    )
    return "\n\n".join([intro, _one(cpu, n), _many(cpu, n), _cost(cpu), _cuda(found["cuda"])])


def _jax(cpu: Row | None) -> str:
    """How JAX was written, as what is fastest differs between machines."""
    if cpu is None or "jax" not in cpu or median(cpu, contender="JAX") is None:
        return ""
    told = []
    for what, way in (("one run", cpu["jax"]["one"]), ("variants", cpu["jax"]["many"])):
        lie = "[out, in]" if way["outputs_first"] else "[in, out]"
        cores = "all cores" if way.get("threads", True) else "one thread"
        how = "" if what == "one run" else f", by {'`lax.map`' if way['mapped'] else '`vmap`'}"
        told.append(f"{what} on {cores} with weights {lie}{how}")
    return f"JAX is written in several ways and the fastest kept: {'; '.join(told)}. "


def _one(cpu: Row | None, n: int) -> str:
    own = median(cpu)
    head = [
        "an epoch of 784-128-10 over 60,000 images, clip and mask at each step",
        f"median of {n}",
        "ratio",
    ]
    rows = []
    for name, title in TITLES.items():
        value = median(cpu, contender=name)
        rows.append([title, _seconds(value), _times(value, own)])
    return _table(head, rows)


def _many(cpu: Row | None, n: int) -> str:
    rows = []
    for what, wanted in (
        ("from a fresh process to the first finished epoch, imports left out", {"first": True}),
        ("16 variants, an epoch of all", {"lanes": 16}),
    ):
        own, other = median(cpu, **wanted), median(cpu, contender="JAX", **wanted)
        rows.append([what, _seconds(own), _seconds(other), _times(other, own)])
    return _table([f"median of {n}", "the explorer", "JAX", "ratio"], rows)


def _cost(cpu: Row | None) -> str:
    rows = []
    for what, wanted in (
        *(
            (f"{lanes} variant{'s' * (lanes > 1)}, hidden layer of 128", {"lanes": lanes})
            for lanes in (1, 4, 16, 64)
        ),
        *((f"1 variant, hidden layer of {hidden}", {"hidden": hidden}) for hidden in (32, 512)),
    ):
        names = ("explorer", "JAX", "matrix products")
        rows.append([what, *(_seconds(median(cpu, contender=name, **wanted)) for name in names)])
    return _table(["an epoch of all", "the explorer", "JAX", "matrix products"], rows)


def _cuda(cuda: Row | None) -> str:
    stack = {"lanes": 64, "epochs": 5}
    rows = [
        ["one run, an epoch", median(cuda)],
        ["64 variants, 5 epochs, stacked", median(cuda, **stack)],
        ["64 variants, 5 epochs, one by one", median(cuda, contender="explorer, one by one", **stack)],
    ]
    told = cuda["machine"]["gpu"] if cuda else "no GPU at hand"
    return _table([f"on a GPU ({told})", "the explorer"], [[what, _seconds(value)] for what, value in rows])


LATENCY = {
    "threshold, idle": "threshold moved → re-evaluation painted, idle",
    "threshold, training": "the same while training",
    "callback, training": "slider → Python while training",
    "first point": "Train → first point painted",
    "first view": "cell run → explorer painted",
    "first view of a kernel": "the same, the first of a kernel: PyTorch and the explorer are imported",
    "the same, imported before": "the same, imported by a cell before",
    "kernel, a whole frame": "CPU time of a frame in the kernel, at {rate:.0f} a second",
    "wall, a whole frame": "the same frame by the clock, while it trains",
}


def latency() -> str:
    """The README's table of answers in the page, from the newest reading."""
    found = max(_kept("latency"), key=lambda each: each["machine"]["date"])["summary"]
    rows = []
    for name, title in LATENCY.items():
        one = found[name]
        digits = 1 if one["median"] < 10 else 0
        numbers = f"{one['median']:.{digits}f} ms, {one['p95']:.{digits}f} ms"
        rows.append([title.format(rate=found["chart updates a second"]["median"]), numbers, str(one["n"])])
    return _table(["in JupyterLab, headless Chromium", "median, 95th percentile", "n"], rows)


SECTIONS = {"speed": speed, "latency": latency}


def marked(name: str) -> str:
    """A section with the marks that stand around it in the README."""
    how = "python tests/benchmarks/report.py --write"
    return f"<!-- {name}: {how} -->\n\n{SECTIONS[name]()}\n\n<!-- /{name} -->"


def main() -> None:
    """Prints the sections or writes them into the README."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put them into the README")
    if not parser.parse_args().write:
        print("\n\n".join(marked(name) for name in SECTIONS))
        return
    text = README.read_text(encoding="utf-8")
    for name in SECTIONS:
        before, _, rest = text.partition(f"<!-- {name}:")
        _, _, after = rest.partition(f"<!-- /{name} -->")
        text = before + marked(name) + after
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
