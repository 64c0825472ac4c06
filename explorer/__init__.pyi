from IPython.core.interactiveshell import InteractiveShell

from explorer import figures as figures
from explorer import presets as presets
from explorer.engine.pruning.prune import prune as prune
from explorer.engine.training.run import Run as Run
from explorer.engine.training.train import train as train
from explorer.experiment import Clipping as Clipping
from explorer.experiment import Experiment as Experiment
from explorer.experiment import Pruning as Pruning
from explorer.study.sweep import Study as Study
from explorer.study.sweep import sweep as sweep
from explorer.ui.explorer import Explorer as Explorer

LOADING: str

def load_ipython_extension(shell: InteractiveShell) -> None: ...
