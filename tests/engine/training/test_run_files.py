"""A run as a folder: every part can be read back by the tool it is made for."""

import json
import math

import polars as pl
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import explorer as ex
from explorer.engine.training.run import MASK, TABLES
from explorer.engine.training.train import run_of, with_twin
from explorer.engine.training.trainer import Trainer


@pytest.fixture
def run(tiny):
    return ex.train(tiny(pruning={"threshold": 0.75}), device="cpu", progress=False)


def test_a_folder_holds_all_of_it_and_of_its_twin(run, tmp_path):
    folder = run.save(tmp_path / "deep" / "down")
    assert folder == tmp_path / "deep" / "down"
    names = {
        "experiment.json",
        "experiment.py",
        "run.json",
        "model.safetensors",
        *(f"{t}.csv" for t in TABLES),
    }
    assert {path.name for path in folder.iterdir()} == {*names, "dense"}
    assert {path.name for path in (folder / "dense").iterdir()} == names
    assert ex.Experiment.from_json((folder / "experiment.json").read_text()) == run.experiment
    assert ex.Experiment.from_json((folder / "dense/experiment.json").read_text()) == run.dense.experiment
    for name in TABLES:
        table = getattr(run, name)
        assert pl.read_csv(folder / f"{name}.csv", schema=table.schema).equals(table), name


def test_the_summary_is_json_whatever_its_numbers(run, tmp_path):
    run.summary["compression"] = math.inf
    told = json.loads((run.save(tmp_path) / "run.json").read_text(), parse_constant=pytest.fail)
    assert told["summary"]["compression"] is None
    assert told["summary"]["test_accuracy"] == run.summary["test_accuracy"]
    assert (told["hash"], told["status"], told["steered"]) == (run.experiment.hash, "done", False)


def test_the_model_loads_into_a_plain_module_with_its_masks(run, tmp_path):
    path = run.save(tmp_path) / "model.safetensors"
    assert path.stat().st_mode == (tmp_path / "run.json").stat().st_mode  # read by whom the others are
    tensors = load_file(path)
    module = run.model()
    state = {name: value for name, value in tensors.items() if not name.startswith(MASK)}
    module.load_state_dict(state)
    masks = {name.removeprefix(MASK): mask for name, mask in tensors.items() if name.startswith(MASK)}
    assert masks.keys() == run.masks.keys()
    for name, mask in masks.items():
        assert mask.dtype == torch.bool
        assert torch.equal(mask, run.masks[name])
        assert not state[name][~mask].any()
    with safe_open(path, "pt") as file:
        (found,) = json.loads(file.metadata()["pruning-explorer"])
    assert ex.Experiment(**found["experiment"]) == run.experiment
    assert ex.figures.recipe(path) == run.experiment


def test_the_script_runs_the_experiment_again(run, tmp_path, monkeypatch):
    script = (run.save(tmp_path) / "experiment.py").read_text()
    asked = []
    monkeypatch.setattr(ex, "train", asked.append, raising=False)
    exec(script, {})
    assert asked == [run.experiment]
    assert "#" not in script


def test_a_steered_runs_files_tell_the_moves(tiny, tmp_path):
    trainer = Trainer(with_twin(tiny(), twin=True), "cpu")
    steps = trainer.run()
    for _ in range(4):
        next(steps)
    trainer.steer({"lr": 0.02})
    list(steps)
    folder = run_of(trainer, "done").save(tmp_path)
    assert "lr from 0.1 to 0.02" in (folder / "experiment.py").read_text()
    found = ex.figures.provenance(folder / "model.safetensors")[0]
    assert found["steered"]
    assert {"what": "lr", "from": 0.1, "to": 0.02}.items() <= found["events"][0].items()
    with pytest.warns(UserWarning, match="moves: 1"):
        ex.figures.recipe(folder / "model.safetensors")
