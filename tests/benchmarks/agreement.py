"""Whether a GPU trains as a CPU does: the first steps to rounding, the end to the noise of seeds.

    python tests/benchmarks/agreement.py [--device cuda|cpu] [--steps N] [--seeds N] [--epochs N]

Three questions for each recipe. Do the first steps measure what they measure on a CPU, where torch takes row
after row? Are captured steps the single ones? Is a record that is told late the record of the same step? And
one for all: do seeds end at the same accuracy? Ends with 1 where an answer is no. `--device cpu` needs no
GPU: it compares the lanes of a stack in one product.
"""

import argparse
import math
import sys
from statistics import fmean, stdev

import torch

import explorer as ex
from explorer.engine.data.dataset_info import steps_per_epoch
from explorer.engine.training.append_log import StepLog
from explorer.engine.training.train import with_twin
from explorer.engine.training.trainer import Trainer

RECIPES = {
    "default": {},
    "adam": {"optimizer": "adam", "lr": 1e-3},
    "momentum, decay": {"momentum": 0.9, "lr": 0.02, "weight_decay": 1e-3, "lr_decay": "cosine"},
    "gradual": {"pruning": {"schedule": "gradual", "threshold": 0.95}},
    "chain of rules": {"clipping": {"rule": ("autoclip", "agc")}},
    "top-k": {"clipping": {"rule": "top-k", "options": {"error_feedback": True}}},
    "deep sigmoid": {"model": "deep-sigmoid"},
    "lenet-5": {"model": "lenet-5"},
    "small-cnn": {"model": "small-cnn"},
}
FIRST = 10  # steps
ROUNDING = 1e-3  # float32, over the first steps: any difference grows from step to step


def trained(
    fields: dict, device: str, steps: int, *, chunks: bool, together: bool | None, late: bool
) -> Trainer:
    """A run and its twin after so many steps, pruned at the fourth."""
    experiment = ex.Experiment(batch_size=512, **fields)
    per_epoch = steps_per_epoch(experiment)
    experiment = experiment.replace({"pruning.begin_epoch": 4 / per_epoch})
    trainer = Trainer(with_twin(experiment, twin=True), device, together=together)
    trainer.executor.in_chunks, trainer.rewindable = chunks and not trainer.network.stochastic, not late
    for _ in trainer.run():
        if trainer.step >= steps:
            break
    if trainer.recorder.pending:
        trainer.complete_record()
    return trainer


def apart(ours: StepLog, theirs: StepLog, steps: int) -> float:
    """The largest relative difference of what the first steps measured."""
    pairs = [
        (a, b)
        for mine, other in zip(ours[:steps], theirs[:steps], strict=True)
        for of_mine, of_other in zip(mine, other, strict=True)
        for a, b in zip(of_mine, of_other, strict=True)
    ]
    return max(abs(a - b) / max(abs(b), 1e-6) for a, b in pairs)


def recipe(name: str, fields: dict, device: str, steps: int) -> bool:
    """One line for a recipe; whether all is well."""
    cpu = trained(fields, "cpu", steps, chunks=False, together=False, late=False)
    single = trained(fields, device, steps, chunks=False, together=True, late=False)
    captured = trained(fields, device, steps, chunks=True, together=True, late=False)
    late = trained(fields, device, steps, chunks=True, together=True, late=True)
    first = apart(single.flush(), cpu.flush(), FIRST)
    replayed = apart(captured.flush(), single.flush(), FIRST)
    known = {row[:4]: row[4] for row in captured.lanes[0].history.history}
    told = [row for row in late.lanes[0].history.history if row[:4] in known]
    same = all(math.isclose(row[4], known[row[:4]], rel_tol=ROUNDING, abs_tol=1e-6) for row in told)
    well = first < ROUNDING and replayed < ROUNDING and same and len(told) > 0
    print(
        f"{name:16} first steps {first:.1e}, captured {replayed:.1e}, {len(told)} late numbers "
        f"{'the same' if same else 'DIFFER'}{'' if well else '  <- not well'}",
        flush=True,
    )
    return well


def ends(device: str, seeds: int, epochs: int) -> bool:
    """Whether seeds end at the same accuracy; a paired comparison."""
    experiment = ex.Experiment(epochs=epochs)
    found = {}
    for where in ("cpu", device):
        study = ex.sweep(experiment, {"pruning.threshold": [0.9]}, seeds, where, progress=False, plan="stack")
        found[where] = [run.summary["test_accuracy"] for run in study.runs]
    apart = [a - b for a, b in zip(found[device], found["cpu"], strict=True)]
    noise = stdev(found["cpu"])
    print(
        f"test accuracy, n = {seeds}: cpu {fmean(found['cpu']):.4f} (sd {noise:.4f}), {device} "
        f"{fmean(found[device]):.4f}, paired difference {fmean(apart):+.4f} (sd {stdev(apart):.4f})"
    )
    return abs(fmean(apart)) <= 2 * noise


def main() -> None:
    """Answers, and ends with 1 where one is no."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.exit(1, "unmeasured: torch sees no GPU here\n")
    print(torch.cuda.get_device_name() if asked.device == "cuda" else "cpu", torch.__version__)
    well = [recipe(name, RECIPES[name], asked.device, asked.steps) for name in asked.recipes]
    well.append(ends(asked.device, asked.seeds, asked.epochs))
    sys.exit(0 if all(well) else 1)


if __name__ == "__main__":
    main()
