"""Resident memory while an explorer's session is used hard: `python tests/benchmarks/soak.py --minutes 10`.

Sliders move ten times a second and Train is pressed twice a second. Prints the memory of the process every
quarter of a minute, and at the end its peak, in GB.
"""

import argparse
import itertools
import os
import time
from pathlib import Path

import explorer as ex
from explorer.ui.session.session import Session

PAGE = os.sysconf("SC_PAGE_SIZE")
REPORT_SECONDS = 15.0


def resident() -> float:
    """Return the memory of this process in GB, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e9


def soak(minutes: float) -> float:
    """Use a session for so many minutes and return the peak of memory in GB."""
    session = Session(ex.Experiment(), "cpu")
    session.prepare()
    began, report, peak = time.monotonic(), 0.0, 0.0
    for turn in itertools.count():
        passed = time.monotonic() - began
        if passed > 60 * minutes:
            break
        if turn % 5 == 0:
            session.start()
        session.set({"clipping.max_norm": 0.5 + turn % 7 / 10, "lr": 0.1 + turn % 3 / 20})
        session.preview(0.3 + turn % 60 / 100)
        time.sleep(0.1)
        peak = max(peak, resident())
        if passed >= report:
            print(f"{passed / 60:5.2f} min  {resident():.2f} GB", flush=True)
            report += REPORT_SECONDS
    session.close()
    return peak


def main() -> None:
    """Read how long, and print the reading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    print(f"peak {soak(minutes):.2f} GB in {minutes:g} minutes")


if __name__ == "__main__":
    main()
