"""A figure saved as a page: its scripts are whole, whatever a recipe or a run's name has in it."""

import json
import re
from html.parser import HTMLParser

import altair as alt
import pytest
from PIL import Image

import explorer as ex
from explorer.figures import saving
from explorer.figures.provenance import usermeta

AWKWARD = "</script></head><b>mine"
SPEC = {"data": {"values": [{"name": AWKWARD}]}, "mark": "point", "encoding": {"y": {"field": "name"}}}


class Scripts(HTMLParser):
    """The texts of a page's scripts, as a browser tells them apart."""

    def __init__(self, page):
        super().__init__()
        self.texts, self._inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, _attrs):
        self._inside = tag == "script"
        if self._inside:
            self.texts.append("")

    def handle_data(self, data):
        if self._inside:
            self.texts[-1] += data

    def handle_endtag(self, _tag):
        self._inside = False


def scripts(spec, path):
    return Scripts(saving.write(spec, path).read_text(encoding="utf-8")).texts


def test_the_scripts_of_a_page_are_whole(tmp_path):
    vega, _ = scripts(SPEC, tmp_path / "plain.html")
    signed = {**SPEC, "usermeta": usermeta([{"note": AWKWARD}])}
    made, same, drawing = scripts(signed, tmp_path / "signed.html")
    assert same == vega
    assert json.loads(made) == [{"note": AWKWARD}]
    spec = json.loads(re.search(r"const spec = (.*);\n", drawing)[1])
    assert spec["data"]["values"] == SPEC["data"]["values"]
    assert "vegaEmbed(" in drawing


# -- how large a picture is ----------------------------------------------------------------------------


@pytest.fixture
def chart():
    return alt.Chart.from_dict({**SPEC, "width": 200, "height": 100})


def size_of(path):
    with Image.open(path) as image:
        return image.size, round(image.info["dpi"][0])


def test_pixels_per_inch_are_what_a_png_has(chart, tmp_path):
    (width, height), dpi = size_of(ex.figures.save(chart, tmp_path / "plain.png", scale=1))
    assert dpi == 72
    assert size_of(ex.figures.save(chart, tmp_path / "default.png"))[0] == (2 * width, 2 * height)
    printed, dpi = size_of(ex.figures.save(chart, tmp_path / "printed.png", ppi=300))
    assert printed == pytest.approx((width * 300 / 72, height * 300 / 72), abs=1)
    assert dpi == 300


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"scale": 300}, ValueError, "scale = 300: give 0.1 to 50; .* ppi pixels an inch"),
        ({"scale": 0}, ValueError, "scale = 0"),
        ({"scale": -1}, ValueError, "scale = -1"),
        ({"scale": float("nan")}, ValueError, "scale = nan"),
        ({"ppi": float("inf")}, ValueError, "ppi = inf: give 10 to 3600"),
        ({"ppi": 0}, ValueError, "ppi = 0"),
        ({"scale": "2"}, TypeError, "scale = '2'"),
        ({"scale": True}, TypeError, "scale = True"),
        ({"scale": 50, "ppi": 300}, ValueError, "more than 100 million: give a smaller scale or ppi"),
    ],
)
def test_a_picture_that_is_too_large_is_refused_before_it_is_drawn(chart, tmp_path, given, error, message):
    path = tmp_path / "figure.png"
    with pytest.raises(error, match=message):
        ex.figures.save(chart, path, **given)
    assert not path.exists()


@pytest.mark.parametrize("name", ["a\ud800", "a\0b"])
@pytest.mark.parametrize("suffix", saving.SUFFIXES)
def test_a_name_that_no_file_can_have_is_refused(chart, tmp_path, name, suffix):
    with pytest.raises(ValueError, match="no file can have such a name") as refused:
        ex.figures.save(chart, tmp_path / f"{name}{suffix}")
    str(refused.value).encode()
    assert not list(tmp_path.iterdir())
