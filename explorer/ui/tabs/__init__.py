"""The tabs, in the order in which they stand: a new one is a file here and a line in `TABS` below.

Read `tab` first: what a tab is told and asked. `tab_panel` draws the one that is shown.

- `live`: accuracy, loss, the shift and sparsity as they come
- `weights`: histograms, the threshold in all its units, and what each layer keeps
- `gradients`: norms before and after clipping, and what reaches each layer
- `tradeoff`: accuracy against sparsity, for the weights as they are and retrained
- `masks`: which pixels are still read, and which units are dead
- `digits`: the images that pruning flips, and one to draw oneself
- `runs`: pinned runs side by side, and settings as text

`parts` holds what single tabs show beside their charts.
"""

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
