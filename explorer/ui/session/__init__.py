"""One run in the background, and what there is to see of it; knows the engine, but no widget.

Read in this order:

- `session`: Session, what callers use. It only leaves commands, and never touches a tensor.
- `command_thread`: CommandThread, which carries the commands out one by one and trains between them.
- `worker`: Worker, the commands themselves: start, change, preview, look at the past, branch, restore.
- `reaction`: the table of what a moved slider or a changed setting does to the run. To change that, change it
  here, and `tests/ui/session/test_reaction.py`.
- `frames`: Frame, what a tab gets to draw from; Point, of which curves are made; Predictions.
- `frame_publisher`: FramePublisher makes frames and decides how often.
- `snapshots`: SnapshotStore, the moments of a run to go back to; SavedRun, a whole run to be shown again.

What works on beside the run, for one tab each, a slice of time at a frame or in a process of its own:

- `sliced_evaluation`: the predictions of networks on all validation images (Digits).
- `curve_follower`: accuracy at every sparsity, of the weights as they are (Trade-off).
- `retraining`: the same experiment at several thresholds, seed after seed (Trade-off).
"""
