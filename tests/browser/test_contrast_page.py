"""Every text on every tab stands out from its ground as WCAG AA asks, in both themes, under the mouse too."""

import pytest
from at_the_page import choose, press, train, unfold

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

# Each visible text with too little contrast: its place, its words and the ratio. What is disabled is exempt.
FAINT = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], ground) => [r, g, b].map((v, i) => a * v + (1 - a) * ground[i]);
  const chain = (el) => (el ? [...chain(el.parentElement), el] : []);
  const ground = (el) => chain(el).reduce(
    (under, at) => over(parse(getComputedStyle(at).backgroundColor), under), [255, 255, 255]);
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const texts = (el) => [...el.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("");
  const own = (el) => (el.matches("input, textarea") ? el.value || el.placeholder : texts(el));
  const faint = [];
  let seen = 0;
  for (const el of document.querySelectorAll(".explorer *")) {
    if (!el.checkVisibility() || el.closest("style, option, canvas, :disabled") || !own(el).trim()) continue;
    const style = getComputedStyle(el, el.placeholder && !el.value ? "::placeholder" : null);
    const [r, g, b, a] = parse(style.color);
    const opacity = chain(el).reduce((part, at) => part * getComputedStyle(at).opacity, 1);
    const behind = ground(el);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const found = ratio(over([r, g, b, a * opacity], behind), behind);
    seen += 1;
    if (found < (large ? 3 : 4.5)) faint.push([el.className || el.tagName, own(el).slice(0, 30), found]);
  }
  const body = getComputedStyle(document.body);
  const paper = parse(body.getPropertyValue("--jp-layout-color0"));
  for (const name of ["--jp-ui-font-color1", "--jp-ui-font-color2"]) { // charts write in these
    const found = ratio(over(parse(body.getPropertyValue(name)), paper), paper);
    if (found < 4.5) faint.push([name, "charts", found]);
  }
  return [seen, faint];
}"""
HOVERED = {
    "live": (".explorer-tab-runs", ".explorer-group-training .explorer-group-head", ".explorer-reset"),
    "weights": (".explorer-counts button:not(.mod-active)",),
    "runs": (
        ".explorer-pinned tbody tr:last-child .explorer-setting",
        ".explorer-pinned tbody tr:last-child .explorer-rank",
        ".explorer-run-restore",
        ".explorer-share-copy",
    ),
}


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_all_text_can_be_read(opened, theme):
    notebook = opened()
    train(notebook)
    notebook.run("runs = e._gallery.tabs['runs']; runs.pin(); e.experiment = brisk.replace(lr=0.35)")
    train(notebook)
    notebook.run("runs.pin()")
    notebook.run("e._preset.value = e._preset.options[1][1]; e._guard.tell('no')")
    unfold(notebook, "data-and-model")
    notebook.theme(theme)
    found = {}
    try:
        press(notebook, "export")
        found["menu"] = notebook.page.evaluate(FAINT)
        for tab in notebook.value("list(e._gallery.tabs)"):
            choose(notebook, tab)
            found[tab] = notebook.page.evaluate(FAINT)
            for place in HOVERED.get(tab, ()):
                notebook.locator(place).first.hover()
                found[place] = notebook.page.evaluate(FAINT)
    finally:
        notebook.theme("JupyterLab Light")
    assert all(seen > 40 for seen, _ in found.values())
    assert {place: faint for place, (_, faint) in found.items() if faint} == {}
