"""Sheets of little images as figures: each pixel has the colour that it has on the page, light and dark."""

import numpy as np
import pytest
from png_reader import decoded

from explorer import figures
from explorer.figures import theme
from explorer.ui.widgets.image_grid import ImageSheet

pytestmark = pytest.mark.slow


def sheet(kind, codes, **fields):
    data = codes.astype("<u2" if kind == "counts" else np.uint8)
    rows, columns = codes.shape[1:]
    named = {"name": "units", "width": 20, "height": 20, "title": "A title", "text": "All that it says."}
    return ImageSheet(kind=kind, rows=rows, columns=columns, codes=data.tobytes(), **(named | fields))


def tables(chart):
    return chart.to_dict()["datasets"]  # which Altair checks against Vega-Lite's own schema


def test_pixels_are_the_codes_made_large_enough_not_to_blur():
    codes = np.arange(18).reshape(2, 3, 3)
    found = tables(figures.tiles([sheet("weights", codes)]))["images-0"]
    assert len(found) == 2
    shown, _, _ = decoded(found[1]["url"])
    times = len(shown) // 3
    assert times >= 2 * 20 / 3
    assert (shown[::times, ::times] == codes[1]).all()
    assert (shown == codes[1].repeat(times, 0).repeat(times, 1)).all()


@pytest.mark.parametrize(
    ("kind", "code", "role", "alpha"),
    [
        ("weights", 0, theme.DENSE, 0.3),
        ("weights", 1, theme.REMOVED, 1),
        ("weights", 128, theme.PRUNED, 0),
        ("weights", 255, theme.PRUNED, 1),
        ("shares", 0, theme.DENSE, 0.3),
        ("shares", 255, theme.PRUNED, 1),
        ("image", 0, theme.INK, 0),
        ("image", 51, theme.INK, 0.2),
    ],
)
def test_codes_have_the_pages_colours_and_at_night_their_own(kind, code, role, alpha):
    chart = figures.tiles([sheet(kind, np.full((1, 2, 2), code))])
    night = next(dark for light, dark, _ in theme.ROLES if light == role)
    for drawn, wanted in ((chart, role), (figures.dark(chart), night)):
        url = drawn.to_dict()["datasets"]["images-0"][0]["url"]
        codes, colours, strong = decoded(url)
        assert colours[codes[0, 0]].tobytes().hex() == wanted.lstrip("#")
        assert strong[codes[0, 0]] == pytest.approx(255 * alpha, abs=1)


def test_counts_go_from_faint_to_full_and_none_is_grey():
    found = tables(figures.tiles([sheet("counts", np.array([[[0, 1], [300, 600]]]))]))["images-0"]
    codes, _, strong = decoded(found[0]["url"])
    side = len(codes) // 2
    zero, one, half, most = (int(codes[y, x]) for y in (0, side) for x in (0, side))
    assert zero == 0
    assert 0 < strong[one] < strong[half] < strong[most] == 255


def test_dead_ones_are_crossed_and_all_stand_where_they_are_told_to():
    codes = np.full((5, 2, 2), 200)
    made = sheet(
        *("weights", codes),
        dead=[False, True, False, False, False],
        meters=[0.5] * 5,
        tips=[f"unit {i}" for i in range(5)],
        legend={"none": "pruned", "low": "−1", "high": "+1", "dead": "dead", "meter": "kept"},
    )
    found = tables(figures.tiles([made], width=70))  # three a row
    places = [(row["x"], row["tip"]) for row in found["images-0"]]
    assert places == [(0, "unit 0"), (24, "unit 1"), (48, "unit 2"), (0, "unit 3"), (24, "unit 4")]
    assert {row["y"] for row in found["images-0"][:3]} == {20}
    crosses = [row for row in found["lines"] if row["x2"] - row["x"] == 20]
    assert [row["x"] for row in crosses] == [24, 24]
    legend = [row["text"] for row in found["words"] if row["role"] == "legend"]
    assert legend == ["−1", "+1", "pruned", "dead", "kept"]


def test_sheets_stand_one_below_the_other_with_captions():
    one = sheet("image", np.zeros((3, 28, 28)), captions=["true 3\n3 → 8"] * 3, note="3 images")
    other = sheet("image", np.zeros((0, 28, 28)), title="Another", note="none")
    chart = figures.tiles([one, other]).to_dict()
    words = chart["datasets"]["words"]
    assert [w["text"] for w in words if w["role"] in ("title", "note")] == [
        *("A title", "3 images"),
        *("Another", "none"),
    ]
    heights = [w["y"] for w in words if w["role"] == "title"]
    assert heights[1] > max(w["y"] for w in words if w["role"] == "caption")
    assert chart["description"] == "All that it says. All that it says."
    assert chart["height"] > heights[1]
