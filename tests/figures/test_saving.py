"""A figure saved as a page: its scripts are whole, whatever a recipe or a run's name has in it."""

import json
import re
from html.parser import HTMLParser

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
