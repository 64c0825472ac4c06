"""A process that trains stacks for a sweep: `python -m explorer.study.worker`, spoken to by pickles.

It is started as a module, not forked or spawned, so that it works from notebooks and from scripts without a
main guard, and finds torch's threads in no odd state.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from explorer.engine.training.run import Run
from explorer.experiment import Experiment

TOLD_EVERY = 100  # steps between two words on the progress
Stacks = list[list[Experiment]]
OnSteps = Callable[[int], object]


def train_all(jobs: list[Stacks], on_steps: OnSteps) -> list[list[Run]]:
    """Trains each job in a process of its own with one thread; the runs of each stack, in order."""
    heard: queue.Queue[tuple[int, str, Any]] = queue.Queue()
    workers = [_start(job) for job in jobs]
    listeners = [
        threading.Thread(target=_listen, args=(worker.stdout, i, heard)) for i, worker in enumerate(workers)
    ]
    for listener in listeners:
        listener.start()
    found: dict[int, list[list[Run]]] = {}
    try:
        while len(found) < len(jobs):
            i, what, content = heard.get()
            if what == "steps":
                on_steps(content)
            elif what == "runs":
                found[i] = content
            else:
                raise RuntimeError(f"a process of the sweep failed:\n{content}")
    finally:
        for worker, listener in zip(workers, listeners, strict=True):
            worker.kill()
            listener.join()
            worker.wait()
            worker.stdout.close()  # type: ignore[union-attr]
    return [runs for i in range(len(jobs)) for runs in found[i]]


def _start(job: Stacks) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "explorer.study.worker"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # a session of its own: Jupyter interrupts a cell by a signal to all processes of the kernel's group
    worker = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
    )
    assert worker.stdin is not None
    pickle.dump(job, worker.stdin)
    worker.stdin.close()
    return worker


def _listen(stream: BinaryIO, number: int, heard: "queue.Queue[tuple[int, str, Any]]") -> None:
    what = ""
    try:
        while what != "runs":  # its last word: that it ends then is no news
            what, content = pickle.load(stream)
            heard.put((number, what, content))
    except (EOFError, pickle.UnpicklingError, ValueError):
        heard.put((number, "end", "it ended without a word; was it out of memory?"))


def _told(job: Stacks) -> Iterator[tuple[str, Any]]:
    """What a worker says: steps as they are done, and the runs of all stacks at the end."""
    import torch  # noqa: PLC0415  the parent needs no second import

    from explorer.study.sweep import train_stack  # noqa: PLC0415

    torch.set_num_threads(1)
    runs, done = [], 0
    for stack in job:
        for item in train_stack(stack, "cpu"):
            if isinstance(item, list):
                runs.append(item)
            else:
                done += item
            if done >= TOLD_EVERY * len(stack):
                yield "steps", done
                done = 0
    yield "steps", done
    yield "runs", runs


def main() -> None:
    """Reads a job from the standard input and answers on the standard output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # what else is printed must not come between
    try:
        for word in _told(pickle.load(sys.stdin.buffer)):
            pickle.dump(word, answers)
            answers.flush()
    except Exception:  # noqa: BLE001  whatever it is, the sweep must hear of it
        pickle.dump(("error", traceback.format_exc()), answers)
        answers.flush()


if __name__ == "__main__":
    main()
