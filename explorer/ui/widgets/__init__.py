"""Widgets: what the page draws and says that ipywidgets has no widget for."""
