"""Widgets: what the explorer draws and hears on the page that ipywidgets has nothing for.

Each is a Python class, its script and its style sheet, under one name. Traits marked ``sync`` go to the page and
come back; what happens once is a message, given here as kernel -> page or page -> kernel.

=================  ===============  ======================================================================
file               class            what it is, and its messages
=================  ===============  ======================================================================
`live_chart`       LiveChart        all charts: Vega views that stay, their data patched in place.
                                    page -> kernel: ready; kernel -> page: data (tag, tables, and a buffer
                                    for each column)
`page`             Page             one invisible element for each explorer: hears the threshold's slider,
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

Beside them: `assets` reads scripts and style sheets, with `dom.js` and the figures' palette in front; `vega` has
Vega for the page and compiles charts to it; `pinned_runs` are the runs that the table and the figures show.

To add one: a class in a file of its own, ``_esm = assets.script("it.js")`` and ``_css = assets.style("it.css")``;
the script exports ``{ render }``, which returns what takes away all that it started, and finds `make` and the
rest of `dom.js` in scope. Put it into its owner's tree of widgets, which closes it, and into the test of assets.
"""
