"""What sliders do to a session, and what is tried out with the threshold."""

import pytest
import torch
from laws import PATIENCE, blocked, hold, plain, pruned, same, trained, until

# -- sliders ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("single_steps")
@pytest.mark.parametrize(
    ("name", "event", "to"), [("lr", "lr", 0.02), ("clipping.max_norm", "max_norm", 0.3)]
)
def test_rates_act_from_the_next_step_and_are_events(session, tiny, name, event, to):
    live = session(tiny(epochs=3))
    hold(live, live.start, trained(40))
    here = live.call(lambda trainer: trainer.step).result(PATIENCE)
    assert here == 40
    live.set({name: to})
    live.resume()
    run = live.wait(PATIENCE)
    moves = run.events.filter(run.events["what"] == event)
    before = tiny().lr if name == "lr" else tiny().clipping.max_norm
    assert moves.rows() == [(here, event, before, to)]
    assert run.summary["steered"]
    assert run.dense.summary["steered"]  # the twin is told as well, or they would not be twins
    assert run.experiment == tiny(epochs=3).replace({name: to})
    assert not plain(tiny()).summary["steered"]


def test_a_smaller_clip_norm_in_mid_run_bounds_the_steps_that_follow(session, tiny):
    live = session(tiny(epochs=3, clipping={"max_norm": 1e6}))
    hold(live, live.start, trained(40))
    here = live.call(lambda trainer: trainer.step).result(PATIENCE)
    live.set({"clipping.max_norm": 0.01})
    live.resume()
    live.wait(PATIENCE)
    log = live.call(lambda trainer: trainer.flush()).result(PATIENCE)
    bound = [step[3][0] for step in log]
    assert bound == [0.0] * here + [1.0] * (len(log) - here)
    assert max(step[2][0] for step in log[here:]) <= 0.01 * (1 + 1e-5)


def test_a_threshold_before_the_event_is_simply_used(session, tiny):
    live = session(tiny(epochs=3))
    hold(live, live.start, trained(40))
    live.set({"pruning.threshold": 0.6})
    live.resume()
    run = live.wait(PATIENCE)
    same(run, plain(tiny(epochs=3, pruning={"threshold": 0.6})))
    assert not run.summary["steered"]


@pytest.mark.parametrize("moment", ["after the event", pytest.param("after the end", marks=pytest.mark.slow)])
def test_a_threshold_after_the_event_goes_back_to_it(session, tiny, moment):
    experiment = tiny(epochs=4)
    live = session(experiment)
    if moment == "after the event":
        hold(live, live.start, pruned)
    else:
        live.start()
        live.wait(PATIENCE)
    seen = []
    live.call(lambda trainer: seen.append(trainer.checkpoint.step)).result(PATIENCE)
    live.set({"pruning.threshold": 0.5})
    run = live.wait(PATIENCE)
    same(run, plain(experiment.replace({"pruning.threshold": 0.5})))
    assert seen == [126]
    assert run.summary["sparsity"] == pytest.approx(0.5, abs=1e-5)


def test_the_training_before_the_event_is_not_done_again(session, tiny):
    live = session(tiny(epochs=4))
    live.start()
    live.wait(PATIENCE)
    before = live.call(lambda trainer: (id(trainer), trainer.seconds)).result(PATIENCE)
    live.set({"pruning.threshold": 0.5})
    live.wait(PATIENCE)
    after = live.call(lambda trainer: (id(trainer), trainer.seconds)).result(PATIENCE)
    assert after[0] == before[0]  # the same trainer went on
    assert after[1] > before[1]


@pytest.mark.slow
def test_going_back_twice_equals_going_there_at_once(session, tiny):
    live = session(tiny(epochs=4))
    live.start()
    live.wait(PATIENCE)
    for threshold in (0.3, 0.99, 0.7):
        live.set({"pruning.threshold": threshold})
    same(live.wait(PATIENCE), plain(tiny(epochs=4, pruning={"threshold": 0.7})))


def test_a_threshold_while_pruning_at_every_step_is_a_move(session, tiny):
    pruning = {
        "schedule": "every-step",
        "unit": "score",
        "threshold": 0.005,
        "end_epoch": 3,
        "options": {"every": 8},
    }
    live = session(tiny(epochs=3, pruning=pruning))
    hold(live, live.start, trained(40))
    live.set({"pruning.threshold": 0.02})
    live.resume()
    run = live.wait(PATIENCE)
    assert [row[1:] for row in run.events.filter(run.events["what"] == "threshold").rows()] == [
        ("threshold", 0.005, 0.02)
    ]
    assert run.summary["sparsity"] > plain(tiny(epochs=3, pruning=pruning)).summary["sparsity"]


# -- previews --------------------------------------------------------------------------------------------


def test_of_many_previews_only_the_newest_is_tried_out(session, tiny):
    frames = []
    live = session(tiny(), on_frame=frames.append)
    free = blocked(live)  # the worker is busy while the slider moves
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5):
        live.preview(threshold)
    assert free()
    live.wait(PATIENCE)
    tried = [frame for frame in frames if frame.preview is not None]
    assert [frame.preview for frame in tried] == [0.5]
    assert tried[0].sparsity == pytest.approx(0.5, abs=1e-5)
    assert live.experiment == tiny()  # trying is not setting


def test_previews_change_nothing_in_the_run(session, tiny):
    live = session(tiny(epochs=3))
    live.start()
    for steps, threshold in ((2, 0.3), (90, 0.99), (100, 0.1), (170, 0.7)):
        until(live, trained(steps))
        live.preview(threshold)
    same(live.wait(PATIENCE), plain(tiny(epochs=3)))


def test_after_the_event_a_preview_is_of_the_weights_before_it(session, tiny):
    frames = []
    live = session(tiny(epochs=4), on_frame=frames.append)
    live.start()
    live.wait(PATIENCE)
    live.preview(0.5)
    live.wait(PATIENCE)
    kept = frames[-1].view
    source = live.call(lambda trainer: trainer.checkpoint.state.theta[0].clone()).result(PATIENCE)
    assert torch.equal(kept.row, source * kept.mask)
    assert (frames[-1].preview, frames[-1].status) == (0.5, "done")
