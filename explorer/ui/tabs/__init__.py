"""The tabs, in the order in which they stand: a new one is a file here and a line below."""

from explorer.ui.tabs.digits import Digits
from explorer.ui.tabs.gradients import Gradients
from explorer.ui.tabs.live import Live
from explorer.ui.tabs.masks import Masks
from explorer.ui.tabs.runs import Runs
from explorer.ui.tabs.tab import Context, Tab, Tables
from explorer.ui.tabs.tradeoff import Tradeoff
from explorer.ui.tabs.weights import Weights

TABS: tuple[type[Tab], ...] = (Live, Weights, Gradients, Tradeoff, Masks, Digits, Runs)

__all__ = ["TABS", "Context", "Tab", "Tables"]
