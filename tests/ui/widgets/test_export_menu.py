"""Export without a page: every entry of the menu writes its file, and errors reach the error box."""

import zipfile
from io import BytesIO

import pytest
from hands import ENDLESS, PATIENCE, told

import explorer as ex
from explorer.ui.widgets import export_menu

ENTRIES = [
    (what, kind) for what, _, kinds in export_menu.MENU for kind in kinds if what not in ("shown", "overview")
]
ENTRIES += [("shown", "png")]  # the other formats below, and overviews in test_export_overview.py


@pytest.fixture
def run_one(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    explorer = opened()
    explorer._button["train"].click()
    explorer.wait(PATIENCE)
    return explorer


def press(explorer, what, kind):
    """Chooses an entry as the page does, and returns what the page is sent."""
    sent = []
    button = explorer._gallery.export
    button.send = lambda content, buffers=(): sent.append((content, *buffers))
    button._handle_custom_msg({"type": "export", "what": what, "kind": kind}, [])
    for thread in export_menu.threading.enumerate():
        if thread.name == "explorer-export":
            thread.join(PATIENCE)
    return sent[0]


def test_every_entry_writes_a_file_named_by_the_experiments_hash(run_one, tmp_path):
    made = {}
    for what, kind in ENTRIES:
        made[what, kind] = path = run_one._gallery.export.write(what, kind, tmp_path / "out")
        assert path.name.startswith(run_one.experiment.hash)
        assert path.is_dir() or path.stat().st_size > 40, path
    assert len(set(made.values())) == len(ENTRIES)
    assert made["shown", "png"].name == f"{run_one.experiment.hash}-live.png"
    assert made["data", "events"].name == f"{run_one.experiment.hash}-events.csv"


@pytest.mark.parametrize(
    "kind",
    [k if k in ("png", "json") else pytest.param(k, marks=pytest.mark.slow) for k in export_menu.FIGURES],
)
def test_the_tabs_figure_is_what_is_shown_with_its_recipe(run_one, tmp_path, kind):
    path = run_one._gallery.export.write("shown", kind, tmp_path)
    assert ex.figures.recipe(path) == run_one.experiment
    assert ex.figures.provenance(path)[0]["status"] == "done"


def test_the_page_gets_the_path_and_the_bytes(run_one, tmp_path):
    content, data = press(run_one, "experiment", "json")
    name = f"{run_one.experiment.hash}-experiment.json"
    assert content == {"type": "file", "name": name, "path": f"{export_menu.FOLDER}/{name}"}
    assert data == (tmp_path / export_menu.FOLDER / name).read_bytes()
    assert ex.Experiment.from_json(data.decode()) == run_one.experiment


def test_a_folder_is_offered_as_one_archive(run_one):
    content, data = press(run_one, "run", "zip")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        names = archive.namelist()
    start = run_one.experiment.hash
    assert content["name"] == f"{start}.zip"
    assert {f"{start}/model.safetensors", f"{start}/dense/history.csv"} <= set(names)


def test_an_untrained_network_can_be_exported_but_has_no_record(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    explorer = opened()
    for what, kind in [("shown", "json"), ("data", "history"), ("model", "safetensors")]:
        assert explorer._gallery.export.write(what, kind).exists()
    assert press(explorer, "overview", "json") == ({"type": "failed"},)
    assert "has no histograms" in told(explorer)


@pytest.mark.slow
def test_a_run_stopped_before_it_was_pruned_has_all_figures(opened, tmp_path):
    explorer = opened(epochs=ENDLESS)
    explorer._button["train"].click()
    explorer.session.call(lambda trainer: trainer.step).result(PATIENCE)
    while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < 20:
        pass
    explorer.stop()
    explorer.wait(PATIENCE)
    assert explorer._gallery.export.write("overview", "json", tmp_path).exists()


def test_errors_are_told_and_the_next_success_clears_them(run_one, tmp_path):
    (tmp_path / export_menu.FOLDER).write_text("a file in the folder's place")
    assert press(run_one, "data", "events") == ({"type": "failed"},)
    assert "FileExistsError" in told(run_one)
    (tmp_path / export_menu.FOLDER).unlink()
    assert press(run_one, "data", "events")[0]["type"] == "file"
    assert told(run_one) == ""


def test_a_tab_without_charts_says_so(run_one, tmp_path):
    run_one._chart.show([])
    with pytest.raises(ValueError, match="no charts to export"):
        run_one._gallery.export.write("shown", "png", tmp_path)
    assert list(tmp_path.glob("*.png")) == []
