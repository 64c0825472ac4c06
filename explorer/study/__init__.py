"""Many runs of one experiment, and what may be said of them.

In this order:

`sweep`            `ex.sweep`: a grid of settings, seeds and dense twins; `Study` holds what came of it
`plan`             which runs share a stack, and where stacks train: here, or in processes
`processes`        stacks in processes of one thread; a notebook's own methods travel along
`intervals`        how sure an accuracy is, over images and over seeds
`reference_table`  our table for 784-128-10: `python -m explorer.study.reference_table`

A new way to carry out a sweep is a kind in `plan.KINDS`, planned in `plan` and trained by `sweep._train`. A
statistic goes into `intervals`.
"""
