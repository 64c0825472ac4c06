"""The Python half of the live charts; tests/browser has the other."""

import base64
import json
import threading

import altair as alt
import numpy as np
import pytest

from explorer import figures
from explorer.ui.widgets import live_chart, vega
from explorer.ui.widgets.live_chart import LiveChart, encode

PNG = b"\x89PNG\r\n\x1a\n"
POINTS = {"epoch": [0.0, 1.0], "accuracy": [91.5, 97.25], "net": ["pruned", "dense"]}


@pytest.fixture(scope="module")
def made():
    """Altair takes longer over these than any test over the rest."""
    return {"accuracy": figures.accuracy(), "gradients": figures.gradients()}


@pytest.fixture
def charts(made):
    widget = LiveChart(made)
    widget.sent = []
    widget.send = lambda content, buffers=(): widget.sent.append((content, list(buffers)))
    return widget


def decode(message):
    """Read a message as the page does."""
    content, buffers = message
    tables, buffers = {}, iter(buffers)
    for table in content["tables"]:
        columns = {}
        for column in table["columns"]:
            raw = next(buffers)
            labels = column.get("labels")
            values = np.frombuffer(raw, np.uint8 if labels else "<f4").tolist()
            columns[column["name"]] = [labels[code] for code in values] if labels else values
            assert len(values) == table["length"]
        tables[table["chart"], table["dataset"]] = columns
    return tables


def test_an_update_is_one_message_and_survives_the_round_trip(charts):
    norms = {"epoch": [0.5], "norm": [0.25], "state": ["clipped"]}
    charts.update({("accuracy", "points"): POINTS, ("gradients", "norms"): norms}, tag=7)
    [message] = charts.sent
    assert message[0]["tag"] == 7
    assert decode(message) == {("accuracy", "points"): POINTS, ("gradients", "norms"): norms}


def test_none_and_nan_travel_as_nan_and_empty_tables_as_empty(charts):
    charts.update({"accuracy/points": {"epoch": [0, None], "accuracy": [np.nan, 1], "net": ["dense", None]}})
    charts.update({"accuracy/shift": {"epoch": [], "accuracy": [], "label": []}})
    table = decode(charts.sent[0])["accuracy", "points"]
    assert table["epoch"][0] == 0
    assert np.isnan([table["epoch"][1], table["accuracy"][0]]).all()
    assert table["net"] == ["dense", ""]
    assert decode(charts.sent[1])["accuracy", "shift"]["epoch"] == []
    assert charts.chart("accuracy").to_dict()["datasets"]["points"][0]["accuracy"] is None


def test_data_frames_will_do(charts):
    import polars as pl

    charts.update({"accuracy/points": pl.DataFrame(POINTS)})
    assert decode(charts.sent[0])["accuracy", "points"] == POINTS


def test_columns_are_copied(charts):
    norm = np.array([1.0])
    charts.update({"gradients/norms": {"epoch": [0.0], "norm": norm, "state": ["clipped"]}})
    norm[0] = 9
    assert charts.chart("gradients").to_dict()["datasets"]["norms"][0]["norm"] == 1


def test_columns_are_small():
    headers, buffers = encode({"x": np.zeros(500), "state": np.array(["a", "b"] * 250)})
    assert headers == [{"name": "x"}, {"name": "state", "labels": ["a", "b"]}]
    assert [len(buffer) for buffer in buffers] == [2000, 500]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({("acuracy", "points"): POINTS}, "did you mean 'accuracy'"),
        ({("accuracy", "point"): POINTS}, "did you mean 'points'"),
        ({"accuracy": POINTS}, "dataset of 'accuracy' = '' is not known"),
        ({("accuracy", "points"): {"epoch": [1, 2], "accuracy": [1]}}, "one length"),
        ({("accuracy", "points"): {}}, "no columns"),
        ({("accuracy", "points"): {"net": [str(i) for i in range(257)]}}, "more than 256"),
    ],
)
def test_bad_data_are_refused_with_advice(charts, data, words):
    with pytest.raises(ValueError, match=words):
        charts.update(data)
    assert charts.sent == []


def test_charts_must_be_altair():
    with pytest.raises(ValueError, match="'accuracy' is dict"):
        LiveChart({"accuracy": {"mark": "line"}})


def test_a_page_that_says_ready_gets_the_newest_of_every_dataset(charts):
    older = {name: values[:1] for name, values in POINTS.items()}
    charts.update({"accuracy/points": older})
    charts.update({"accuracy/points": POINTS, "gradients/clip": figures.clip_at(1.0)}, tag=5)
    charts._handle_custom_msg({"type": "ready"}, [])
    assert charts.sent[-1][0]["tag"] == 5
    got = decode(charts.sent[-1])
    assert got["accuracy", "points"] == POINTS
    assert got["gradients", "clip"] == {"value": [1.0], "label": ["clip 1.0"]}


def test_updates_from_threads_arrive_in_the_order_they_are_kept(charts):
    def work(start):
        for value in range(start, start + 50):
            charts.update({"gradients/clip": {"value": [value], "label": [""]}})

    threads = [threading.Thread(target=work, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(charts.sent) == 200
    last = decode(charts.sent[-1])["gradients", "clip"]["value"][0]
    assert charts.chart("gradients").to_dict()["datasets"]["clip"][0]["value"] == last


def test_equal_specifications_are_compiled_once():
    before = vega.compile_spec.cache_info()
    for _ in range(2):
        LiveChart(
            {"a": figures.accuracy(subtitle="compiled once"), "b": figures.accuracy(subtitle="compiled once")}
        )
    after = vega.compile_spec.cache_info()
    assert after.misses - before.misses == 1
    assert after.hits - before.hits == 3


def test_set_charts_keeps_the_data_of_what_stays(charts):
    charts.update({"accuracy/points": POINTS, "gradients/clip": figures.clip_at(1.0)})
    unchanged = charts._charts[0]
    charts.set_charts({"accuracy": figures.accuracy(), "weights-fc1": figures.weights(title="fc1")})
    assert charts._charts[0] == unchanged
    assert charts.chart("accuracy").to_dict()["datasets"]["points"][1]["accuracy"] == 97.25
    with pytest.raises(ValueError, match="gradients"):
        charts.chart("gradients")


def test_a_chart_that_stays_is_not_written_anew(charts, made, monkeypatch):
    written, views, write = [], list(charts._charts), live_chart._view
    monkeypatch.setattr(live_chart, "_view", lambda *what: written.append(what[0]) or write(*what))
    charts.set_charts(made)
    assert charts._charts == views
    charts.set_charts(made | {"loss": figures.loss()})
    assert written == ["loss"]
    charts.set_charts(made | {"gradients": figures.gradients(log=False)})
    charts.set_charts(made, wide={"accuracy"})
    assert written == ["loss", "gradients", "accuracy", "gradients"]
    assert [view["wide"] for view in charts._charts] == [True, False]


def test_views_fill_their_column_and_carry_no_data(charts):
    view = charts._charts[0]
    assert view["label"].startswith("Line chart of validation accuracy")
    assert view["spec"]["background"] == "transparent"
    assert all("values" not in data for data in view["spec"]["data"])
    assert "containerSize" in json.dumps(view["spec"]["signals"])


def test_a_picture_only_where_there_is_something_to_see(charts):
    assert "image/png" not in charts._repr_mimebundle_()[0]
    charts.update({"accuracy/points": POINTS})
    bundle = charts._repr_mimebundle_()[0]
    assert base64.b64decode(bundle["image/png"]).startswith(PNG)
    assert "application/vnd.jupyter.widget-view+json" in bundle


@pytest.fixture
def full(charts):
    charts.update(
        {
            "accuracy/points": POINTS,
            "accuracy/events": {"epoch": [0.5], "label": ["pruned to 90 %"], "kind": ["prune"]},
            "accuracy/shift": {"epoch": [1.0], "accuracy": [97.0], "label": ["−0.4 points"]},
        }
    )
    return charts


def test_save_png_and_pdf(full, tmp_path):
    assert full.save("accuracy", tmp_path / "a.png").read_bytes().startswith(PNG)
    assert full.save("accuracy", tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_save_svg_has_the_words(full, tmp_path):
    svg = full.save("accuracy", tmp_path / "a.svg").read_text(encoding="utf-8")
    for words in ("Validation accuracy", "pruned to 90 %", "−0.4 points", "epoch", "accuracy (%)", "dense"):
        assert words in svg


@pytest.mark.slow
def test_save_html_needs_no_network(full, tmp_path):
    html = full.save("accuracy", str(tmp_path / "a.html")).read_text(encoding="utf-8")
    assert 'src="http' not in html
    assert "97.25" in html


def test_save_json_has_the_data(full, tmp_path):
    spec = json.loads(full.save("accuracy", tmp_path / "a.json").read_text(encoding="utf-8"))
    assert spec["datasets"]["points"][1] == {"epoch": 1.0, "accuracy": 97.25, "net": "dense"}
    assert alt.Chart.from_dict(spec).to_dict()["datasets"] == spec["datasets"]


def test_save_refuses_other_suffixes(full, tmp_path):
    with pytest.raises(
        ValueError, match=r"can't save a figure as '.gif': .*\.png, \.svg, \.pdf, \.html, \.json"
    ):
        full.save("accuracy", tmp_path / "a.gif")
