"""The widget: a session in the background, controls, live charts.

Each folder knows those before it: `session` (one run in the background), `controls` (what a hand moves),
`tabs` (what is seen of the run); the other files here are widgets that tabs and the explorer are made of.
`explorer` puts them together, `magic` opens it by `%explorer`.

What a dragged threshold goes through, from the page to the painted mask:

1. `controls.threshold`: the slider's value changes; Guard lets it through, `Threshold._on_move` drops what is
   only the page's echo,
2. `session.session`: `Session.preview` leaves the worker a command, of which only the newest is carried out,
3. `session.worker`: `Worker.preview`, between two training steps,
4. `session.frame_publisher`: `FramePublisher.preview` has `Trainer.preview` mask the weights, evaluates them
   and makes a Frame,
5. `explorer`: `Explorer._on_frame` hands it on,
6. `tabs.tab_panel`: `TabPanel.draw`, to the tab that is shown,
7. `tabs`: `Tab.tables` makes columns of it,
8. `live_chart`: `LiveChart.update` sends them, and the page paints them.

Let go, the page says "release": `Threshold.on_page_event` has `Session.set` leave the worker `Worker.change`,
which does what `session.reaction.react` says; frames come back by 4 to 8.
"""
