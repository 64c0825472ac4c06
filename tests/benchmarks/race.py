"""Contenders in interleaved rounds, each in a process of its own: no pool of threads disturbs another."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKER = Path(__file__).parent / "worker.py"
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
Fields = dict[str, Any]


class Unmeasured(Exception):  # noqa: N818  it is a finding, not a mistake
    """A contender that cannot run here, with the reason."""


class Contender:
    """A running worker; `first` is its time to the first finished training."""

    def __init__(self, name: str, fields: Fields, threads: int, way: Fields | None = None) -> None:
        command = [sys.executable, str(WORKER), name, json.dumps(fields), str(threads)]
        quiet = ONE_THREAD if way and not way.get("threads", True) else {}
        self.name, self.way = name, way
        self._process = subprocess.Popen(
            command + ([json.dumps(way)] if way else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | quiet,
        )
        self.first = self._seconds()

    def again(self) -> float:
        """Seconds of one more training."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._seconds()

    def close(self) -> None:
        """Ends the worker."""
        self._process.communicate()

    def _seconds(self) -> float:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if line:
            return float(line)
        _, errors = self._process.communicate()
        raise Unmeasured((errors.strip().splitlines() or ["it ended without a word"])[-1])


def race(names: list[str], fields: Fields, threads: int, rounds: int, way: Fields | None) -> list[Fields]:
    """A row for each contender: what it did, and its seconds in each round or why there are none."""
    running: list[Contender] = []
    rows = {name: {"contender": name, **fields} for name in names}
    try:
        for name in names:
            try:
                running.append(Contender(name, fields, threads, way if name == "JAX" else None))
                rows[name]["seconds"] = []
            except Unmeasured as reason:
                rows[name]["unmeasured"] = str(reason)
        for _ in range(rounds):
            for each in list(running):
                try:
                    rows[each.name]["seconds"].append(each.again())
                except Unmeasured as reason:
                    running.remove(each)
                    rows[each.name]["unmeasured"] = str(reason)
    finally:
        for each in running:
            each.close()
    return list(rows.values())


def first_epochs(names: list[str], fields: Fields, threads: int, rounds: int, way: Fields) -> list[Fields]:
    """The same for the time to the first finished epoch, each in a fresh process."""
    rows = {name: {"contender": name, "first": True, **fields} for name in names}
    for _ in range(rounds):
        for name, row in rows.items():
            if "unmeasured" in row:
                continue
            try:
                each = Contender(name, fields, threads, way if name == "JAX" else None)
            except Unmeasured as reason:
                row["unmeasured"] = str(reason)
                continue
            row.setdefault("seconds", []).append(each.first)
            each.close()
    return list(rows.values())


def fastest(ways: list[Fields], fields: Fields, threads: int, tries: int = 2) -> tuple[Fields, list[Fields]]:
    """Which way of writing it in JAX is the fastest here, and what each took; the first if none can run."""
    found: list[Fields] = []
    for way in ways:
        try:
            each = Contender("JAX", fields, threads, way)
        except Unmeasured as reason:
            return ways[0], [{**fields, "unmeasured": str(reason)}]
        seconds = [each.again() for _ in range(tries)]
        found.append({**fields, "way": way, "first": each.first, "seconds": seconds})
        each.close()
    return min(found, key=lambda each: min(each["seconds"]))["way"], found
