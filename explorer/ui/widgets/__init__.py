"""Widgets: what the explorer draws and hears on the page that ipywidgets has nothing for.

Each is a Python class, its script and its style sheet, under one name. Traits marked ``sync`` are the same on
the page and in the kernel; what happens once is a message.

=================  ===============  ======================================================================
file               class            what it is, and its messages
=================  ===============  ======================================================================
`live_chart`       LiveChart        all charts: Vega views that stay, their data patched in place.
                                    page -> kernel: ready; kernel -> page: data (tag, tables, and a buffer
                                    for each column)
`page`             Page             one invisible element for each explorer: its script hears the slider,
                                    names controls, reads out the state, shows tooltips, keeps keys.
                                    page -> kernel: grab, release (values of the sliders)
`tab_bar`          TabBar           the row of tabs. Trait `selected`, no messages
`image_grid`       ImageGrid        sheets (ImageSheet) of little images. Trait `_sheets`, no messages
`drawing_pad`      DrawingPad       a digit drawn by hand, and what the networks answer.
                                    page -> kernel: draw (side, and a buffer of ink), random, clear
`runs_table`       RunsTable        the pinned runs. page -> kernel: restore, remove, rename (run, name)
`experiment_text`  ExperimentText   an Experiment as text, and `read` for what is pasted.
                                    page -> kernel: apply (text); kernel -> page: reply (ok, text)
`export_menu`      ExportMenu       files to write. page -> kernel: export (what, kind);
                                    kernel -> page: file (name, path, and a buffer) or failed
=================  ===============  ======================================================================

Beside them: `assets` reads scripts and style sheets, with `dom.js` or `dom.css` and the figures' palette in
front; `vega` has Vega for the page and compiles charts to it; `pinned_runs` are the runs that table and
charts compare.

To add one, write a class in a file of its own, with ``_esm = assets.script("it.js")`` and a ``_css``. The
script exports ``{ render }``, which returns what takes away all that it started, and has `make` and the other
functions of `dom.js` in scope. Put the widget into its owner's tree, which closes it, and have the test of
assets make one.
"""
