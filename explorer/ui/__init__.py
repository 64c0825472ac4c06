"""The widget: a session in the background, controls, live charts."""
