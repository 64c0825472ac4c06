"""Ledgers read like lists, and what is added to one never shows in its copies."""

import pickle
import random

import numpy as np
import pytest

from explorer.engine.training.append_log import AppendLog, StepLog


@pytest.mark.parametrize("seed", range(5))
def test_a_ledger_and_its_copies_are_lists_of_their_own(seed):
    chance = random.Random(seed)
    pairs = [(AppendLog(), [])]
    for number in range(200):
        ledger, plain = chance.choice(pairs)
        rows = [(number, i) for i in range(chance.choice((0, 1, 1, 7)))]
        match chance.randrange(3):
            case 0:
                ledger += rows
                plain += rows
            case 1:
                ledger.append((number,))
                plain.append((number,))
            case 2:
                pairs.append((ledger.copy(), plain.copy()))
    assert len(pairs) > 10
    for ledger, plain in pairs:
        assert ledger == plain
        assert (len(ledger), bool(ledger), list(reversed(ledger))) == (len(plain), bool(plain), plain[::-1])
        assert [ledger[i] for i in range(-len(plain), len(plain))] == plain + plain
        assert ledger[2:-3:2] == plain[2:-3:2]
        assert pickle.loads(pickle.dumps(ledger)) == plain
        for beyond in (len(plain), -len(plain) - 1):
            with pytest.raises(IndexError, match=f"row {beyond} of {len(plain)}"):
                ledger[beyond]


def test_a_long_ledger_has_few_parts_and_a_copy_shares_them():
    ledger = AppendLog()
    for number in range(10_000):
        ledger.append(number)
    assert len(ledger._parts) <= 14  # 2 ** 14 is more
    assert ledger == list(range(10_000))
    copy = ledger.copy()
    assert all(a is b for a, b in zip(copy._parts, ledger._parts, strict=True))


def test_a_ledger_is_no_other_kind_of_thing():
    assert AppendLog([1, 2]) == [1, 2]
    assert AppendLog([1, 2]) != [1, 3]
    assert AppendLog() != 0
    assert repr(AppendLog("ab")) == "AppendLog(['a', 'b'])"


def steps(count, measures=4, lanes=2, start=0):
    shape = (count, measures, lanes)
    return start + np.arange(count * measures * lanes, dtype=float).reshape(shape)


def test_a_log_tells_one_number_of_each_step():
    log, whole = StepLog(), steps(100)
    for begin, end in ((0, 64), (64, 65), (65, 90), (90, 100)):
        log += whole[begin:end]
    assert len(log) == 100
    assert log == StepLog(whole)
    assert log != StepLog(whole + 1)
    for start in (0, 1, 63, 64, 99, 100, 120):
        assert log.series(1, 2, start).tolist() == whole[start:, 2, 1].tolist()
    for every in (1, 3, 64, 1000):
        assert log.series(0, 3, every=every).tolist() == whole[::every, 3, 0].tolist()
        assert log.series(0, 3, 10, every).tolist() == whole[10::every, 3, 0].tolist()


def test_measures_and_lanes_that_came_later():
    log, alone, two = StepLog(), steps(3, 4, 1), steps(2, 5, 2, 100)
    log += alone
    before = log.copy()
    log += two
    assert log.series(1, 0).tolist() == [*alone[:, 0, 0], *two[:, 0, 1]]  # one with the other before
    assert log.series(0, 4).tolist() == two[:, 4, 0].tolist()  # not measured before
    assert before == StepLog(alone)
    assert log.series(0, 0, start=2, every=2).tolist() == [alone[2, 0, 0], two[1, 0, 0]]


def test_an_empty_log_has_nothing_to_tell():
    assert StepLog().series(0, 4).tolist() == []
    assert len(StepLog(np.empty((0, 4, 1)))) == 0
