"""What a session does to the process that it is in: nothing, and it ends with it."""

import subprocess
import sys

import pytest

SETTINGS = """
import threading, torch
from explorer.ui.session.session import Session
torch.set_num_threads(3)
session = Session(device="cpu")
def of_a_new_thread():
    numbers = []
    thread = threading.Thread(target=lambda: numbers.append(torch.get_num_threads()))
    thread.start(); thread.join()
    return numbers[0]
before = of_a_new_thread()
assert session.call(lambda _: torch.get_num_threads()).result() <= 3
assert (torch.get_num_threads(), of_a_new_thread()) == (3, before)
session.close()
assert (torch.get_num_threads(), of_a_new_thread()) == (3, before)
"""

LEAVING = """
import time, explorer as ex
from explorer.ui.session.session import Session
session = Session(ex.Experiment(epochs=1000, optimizer="{optimizer}"), "cpu")
session.start()
while session.call(lambda trainer: trainer.step).result() < 3:
    time.sleep(0.05)
"""


def test_the_number_of_threads_of_the_process_stays():
    subprocess.run([sys.executable, "-c", SETTINGS], check=True)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_python_ends_well_while_a_session_trains(optimizer):
    code = LEAVING.format(optimizer=optimizer)
    for _ in range(2):
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")
