"""What a change of settings does: every row of the table, and that there is a row for every case."""

from dataclasses import replace
from itertools import chain, combinations, product

import pytest

from explorer.engine.training.steering import LIVE
from explorer.ui.session.reaction import ACTIVE, PRUNING, Reaction, RunFacts, react

STATUSES = ("idle", "training", "paused", "stopped", "done", "diverged")
ENDED = ("stopped", "done", "diverged")
# An unpruned run of a one-shot schedule, whose settings before its event are others now
PLAIN = RunFacts(clips=True, continuous=False, pruned=False, rewindable=False)
PRUNED, AGAIN = replace(PLAIN, pruned=True), replace(PLAIN, pruned=True, rewindable=True)
ONGOING = replace(PLAIN, continuous=True)  # pruned all the while
THRESHOLD, NORM = "pruning.threshold", "clipping.max_norm"

ROWS = [  # the settings that change, the status, what is so of the run, and what follows
    ({"lr"}, ("idle",), PLAIN, Reaction.REBUILD),
    ({THRESHOLD}, ("idle",), AGAIN, Reaction.REBUILD),
    ({"lr"}, STATUSES, None, Reaction.REBUILD),
    ({"lr"}, ACTIVE, PLAIN, Reaction.STEER),
    ({"lr", NORM}, ACTIVE, AGAIN, Reaction.STEER),
    ({THRESHOLD}, ACTIVE, ONGOING, Reaction.STEER),
    ({THRESHOLD, "lr"}, ACTIVE, ONGOING, Reaction.STEER),
    ({NORM}, ACTIVE, replace(PLAIN, clips=False), Reaction.RESTART),  # there is no clip rule to bound by
    ({NORM, THRESHOLD}, ACTIVE, replace(ONGOING, clips=False), Reaction.RESTART),
    ({THRESHOLD}, ACTIVE, PLAIN, Reaction.REPLAN),
    ({THRESHOLD}, ACTIVE, replace(PLAIN, rewindable=True), Reaction.REPLAN),
    ({THRESHOLD}, ACTIVE, AGAIN, Reaction.REWIND),
    ({THRESHOLD}, ENDED, AGAIN, Reaction.REWIND),
    ({"pruning.criterion"}, (*ACTIVE, *ENDED), AGAIN, Reaction.REWIND),
    ({"pruning.criterion", "pruning.options"}, ACTIVE, AGAIN, Reaction.REWIND),
    ({THRESHOLD}, (*ACTIVE, *ENDED), PRUNED, Reaction.RESTART),
    ({THRESHOLD, "lr"}, ACTIVE, PLAIN, Reaction.RESTART),  # together they are no slider
    ({"pruning.criterion"}, ACTIVE, PRUNED, Reaction.RESTART),
    ({"model"}, ACTIVE, AGAIN, Reaction.RESTART),
    ({"clipping"}, ACTIVE, PLAIN, Reaction.RESTART),
    ({"lr"}, ENDED, AGAIN, Reaction.SHOW),
    ({"model"}, ENDED, AGAIN, Reaction.SHOW),
    ({"pruning.criterion"}, ENDED, PRUNED, Reaction.SHOW),
]


@pytest.mark.parametrize(("changes", "statuses", "facts", "reaction"), ROWS)
def test_every_row_of_the_table(changes, statuses, facts, reaction):
    assert {status: react(changes, status, facts) for status in statuses} == dict.fromkeys(statuses, reaction)


def test_the_rows_above_are_of_all_reactions():
    assert {row[-1] for row in ROWS} == set(Reaction)


def every_case():
    names = [*LIVE, "pruning.criterion", "model"]
    changes = [set(each) for each in chain(*(combinations(names, n) for n in range(1, len(names) + 1)))]
    facts = [None, *(RunFacts(*each) for each in product((False, True), repeat=4))]
    return product(changes, STATUSES, facts)


def test_every_case_gets_one_reaction_and_one_that_it_can_carry_out():
    """Each reaction is checked against what it asks of the run, not against the table."""
    seen = set()
    for changes, status, facts in every_case():
        reaction = react(changes, status, facts)
        seen.add(reaction)
        active = status in ACTIVE
        allowed = {
            Reaction.REBUILD: facts is None or status == "idle",
            Reaction.STEER: active and changes <= set(LIVE),
            Reaction.REPLAN: active and facts and not facts.pruned and changes == {THRESHOLD},
            Reaction.REWIND: facts and facts.rewindable and changes & PRUNING,
            Reaction.RESTART: active or THRESHOLD in changes,
            Reaction.SHOW: not active and THRESHOLD not in changes,
        }
        assert allowed[reaction], (changes, status, facts, reaction)
        if reaction is Reaction.STEER:
            assert facts.continuous or THRESHOLD not in changes
            assert facts.clips or NORM not in changes
    assert seen == set(Reaction)
