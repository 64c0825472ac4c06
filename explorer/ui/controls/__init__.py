"""The controls beside the charts: widgets bound to fields of the Experiment; they know sessions, but no tab.

Read in this order:

- `labels`: what each control is called, and its tooltip. Every name that a person reads is here.
- `fields`: from an annotation to the widget that sets such a value: `Field.format` and `Field.parse`.
- `controls`: Control, one widget and its field of the Experiment, and all of them. To add a field: a line in
  `controls.build`, one in `labels.CONTROLS` and one in `groups.GROUPS`.
- `method_options`: controls of the chosen methods' own options, read from their signatures.
- `groups`: where they stand, and the buttons.
- `guard`: Guard, under which every callback runs: one lock, one error box, and deaf to what code does.
- `compatible_changes`: what has to change with a change, such as the options that another method has.
- `threshold`: Threshold, the slider that is tried out while it is dragged and set when it is let go.
- `history_slider`: HistorySlider, over the records of the run; `status_line`: the words above the charts.
"""
