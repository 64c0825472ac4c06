"""Resident memory while an explorer is used hard: `python tests/benchmarks/soak.py --minutes 10`.

An explorer of the default model without a page. Train is pressed twice a second, between presses a slider
moves and the threshold's is dragged; each second another tab is shown. Prints what the imports cost, what the
explorer takes before anything trains, the memory each quarter of a minute, and the peak, in GB.
"""

import argparse
import itertools
import os
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
REPORT_SECONDS = 15.0
TURN_SECONDS = 0.1
IDLE_SECONDS = 20.0  # the kernels are compiled or read meanwhile
PATIENCE = 120.0


def resident() -> float:
    """Return the memory of this process in GB, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e9


def soak(minutes: float) -> float:
    """Use an explorer for so many minutes and return the peak of memory in GB."""
    print(f"python {resident():.2f} GB")
    import torch  # noqa: F401  what it costs by itself is a reading

    print(f"torch imported {resident():.2f} GB")
    import explorer as ex

    explorer = ex.Explorer(device="cpu")
    explorer.session.call(id).result(PATIENCE)
    time.sleep(IDLE_SECONDS)
    print(f"an idle explorer {resident():.2f} GB", flush=True)
    pressed = 0
    tabs, threshold = itertools.cycle(explorer.tabs), explorer.controls["threshold"]
    began, report, peak = time.monotonic(), 0.0, resident()
    for turn in itertools.count():
        passed = time.monotonic() - began
        if passed > 60 * minutes:
            break
        if turn % 10 == 0:
            explorer.tab = next(tabs)
        if turn % 5 == 0:
            explorer.controls["train"].click()
            pressed += 1
        explorer.controls["max_norm"].value = 0.5 + turn % 7 / 10
        explorer.controls["lr"].value = 0.1 + turn % 3 / 20
        threshold.value = 30 + turn % 60  # dragged: tried out, not let go
        time.sleep(TURN_SECONDS)
        peak = max(peak, resident())
        if passed >= report:
            trained = explorer.session.call(lambda trainer: trainer.step).result(PATIENCE)
            print(f"{passed / 60:5.2f} min  {resident():.2f} GB, step {trained} of a run", flush=True)
            report += REPORT_SECONDS
    problem = explorer.controls["error"].value
    explorer.close()
    print(f"Train pressed {pressed / passed:.1f} times a second")
    assert not problem, problem
    return peak


def main() -> None:
    """Read how long, and print the reading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    print(f"peak {soak(minutes):.2f} GB in {minutes:g} minutes")


if __name__ == "__main__":
    main()
