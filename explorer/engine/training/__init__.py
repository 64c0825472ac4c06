"""The loop, and what it leaves behind: lanes, prune events, records, a Run.

Read in this order:

- `train`: `ex.train`, an Experiment in, a Run out.
- `trainer`: the only loop and the only clock; whoever holds it may steer, preview, go back.
- `lanes`: one run in a stack, and the Checkpoint that all of them can go back to.
- `timetable`: when records and prune events fall.
- `prune_events`: what happens to a lane's weights then, and what is noted of it.
- `steering`: the sliders that act between two steps.
- `branch`: going on from a checkpoint with other settings.
- `recorder`, `metrics`: when and what is measured; `history`, `append_log`: the tables it goes into.
- `run`: what came of an Experiment, and how it is saved.

To record another metric, measure it in `metrics` and name it in `recorder`; to save another file with a run,
add a line to `WRITERS` in `run`.
"""
