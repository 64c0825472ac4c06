"""Charts in one figure are drawn as they are alone, at their own size."""

import json
import re

import numpy as np
import pytest
import vl_convert

from explorer import figures
from explorer.figures import saving

BAR = re.compile(r'aria-roledescription="bar" d="([^"]+)"')


def histogram():
    edges, counts = np.linspace(-1, 1, 9), np.arange(1, 9)
    bins = figures.stacked(edges[:-1], edges[1:], counts, counts[::-1], 0 * counts)
    return figures.weights(bins, figures.cutoffs_at(0.97), {"text": ["a note"]}, title="fc1")


def drawn(chart):
    """The shapes of its bars, and to which side of the threshold its label stands."""
    spec = json.dumps(chart.to_dict(validate=False))
    svg = vl_convert.vegalite_to_svg(spec, vl_version=saving.vegalite_version())
    return BAR.findall(svg), re.findall(r'text-anchor="(\w+)"[^>]*>τ = 0.97<', svg)


@pytest.mark.parametrize("wide", [(), ("conv1.0",)], ids=["beside", "below"])
def test_a_histogram_is_whole_among_others(wide):
    bars, side = drawn(histogram())
    assert len(set(bars)) == len(bars) == 24
    assert set(side) == {"end"}
    shapes, sides = drawn(figures.combine({"fc1": histogram(), "conv1.0": histogram()}, wide=wide))
    assert shapes == 2 * bars
    assert sides == 2 * side
