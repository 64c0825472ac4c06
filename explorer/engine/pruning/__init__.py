"""From a Pruning to a mask.

In the order in which a prune event goes through the files:

`resolved`      a Pruning with its methods looked up, once for all that it decides
`score_inputs`  computes what criteria may ask for by name, over the scoring set: gradients, activations, ...
`scoring`       a criterion, given these: the scores of each layer
`unit_scores`   the scores of a lane's units (weights, neurons or filters), before a threshold is set
`masking`       decides which units fall: from scores and a threshold to masks, ties included
`unit_columns`  from the units of layers to columns of a row
`fit`           whether a pruning fits a network at all, asked of an experiment alone
`pruner`        all of this for one row of a run
`prune`         `ex.prune`: the same for any module of the user's

To give criteria one more thing to ask for, write a function in `score_inputs` and name it
in `QUANTITIES`, and in `explorer/traits.py` in `OFFERED`.
To add a criterion, a granularity or another method, see `explorer/methods`: nothing changes here.
"""
