/* Pinned runs as an ordinary table; what is pressed or typed goes to the kernel, which sends new rows. */

function render({ model, el }) {
  const root = make("div", "explorer-pinned explorer-small-buttons");
  const note = make("p", "explorer-runs-note");
  const table = make("table");
  note.setAttribute("role", "status");
  const scroll = make("div", "explorer-runs-scroll");
  const caption = make("p", "explorer-runs-caption"); // beside the table, which may be wider than the page
  scroll.append(table);
  root.append(scroll, caption, note);
  el.append(root);
  const tell = (type, run, name) => model.send({ type, run, name });

  function button(type, { run, name }) {
    const words = model.get("words");
    const it = makeButton(`explorer-run-${type}`, words[type], words[`${type}Tip`], () => tell(type, run));
    it.dataset.at = `${type}-${run}`;
    it.setAttribute("aria-label", words[`${type}Name`].replace("{}", name));
    return it;
  }

  function nameOf({ run, name, slot, steered }) {
    const words = model.get("words");
    const it = make("span", "explorer-run");
    const input = make("input", "explorer-run-name");
    input.value = input.title = name;
    input.size = Math.max(6, Math.min(name.length, 22));
    input.setAttribute("aria-label", words.name);
    input.addEventListener("change", () => {
      input.value = input.value.trim() || name; // the kernel sends nothing where this changes nothing
      tell("rename", run, input.value);
    });
    input.addEventListener("keydown", (event) => {
      event.stopPropagation(); // JupyterLab's own keys
      if (event.key === "Enter") input.blur();
      if (event.key !== "Escape") return;
      input.value = name; // before it loses the focus, or that would be a change
      input.blur();
    });
    it.append(make("i", `explorer-swatch explorer-swatch-${slot}`), input);
    if (steered) {
      const mark = make("span", "explorer-run-steered", words.steered);
      mark.title = words.steeredTip;
      it.append(mark);
    }
    return it;
  }

  function stacked(cell, parts) {
    for (const part of parts) {
      const line = make("div", "explorer-run-line");
      line.append(...[part].flat());
      cell.append(line);
    }
    return cell;
  }

  function row({ rank, certain, rankTip, pins, settings, numbers }) {
    const line = make("tr");
    const first = make("td", certain ? "explorer-rank" : "explorer-rank explorer-unsure", rank);
    first.title = rankTip;
    const name = make("th");
    name.scope = "row";
    const heads = model.get("head").slice(2); // after rank and run
    line.append(first, stacked(name, pins.map(nameOf)));
    const below = make("div", "explorer-run-settings");
    const words = make("div");
    words.append(...settings.map((text, i) => make("span", "", `${heads[i][0]} ${text}`)));
    below.append(words);
    name.append(below);
    for (const text of settings) line.append(make("td", "explorer-setting", text));
    for (const [text, small] of numbers) {
      const cell = make("td", "explorer-number", text);
      if (small) cell.append(make("small", "", small));
      line.append(cell);
    }
    const actions = pins.map((pin) => [button("restore", pin), button("remove", pin)]);
    line.append(stacked(make("td", "explorer-run-actions"), actions));
    return line;
  }

  function build() {
    const typing = root.contains(document.activeElement) && document.activeElement.matches("input");
    if (typing && document.activeElement.value !== document.activeElement.defaultValue) return later();
    const heads = make("tr");
    const settings = model.get("rows")[0]?.settings.length ?? 0;
    for (const [i, [text, tip]] of model.get("head").entries()) {
      const head = make("th", i > 1 && i < 2 + settings ? "explorer-setting" : "", text);
      head.scope = "col";
      head.title = tip;
      heads.append(head);
    }
    if (heads.children.length) heads.append(make("td"));
    const [top, body] = [make("thead"), make("tbody")];
    top.append(heads);
    body.append(...model.get("rows").map(row));
    const focus = table.contains(document.activeElement) && document.activeElement.dataset.at;
    table.replaceChildren(top, body);
    if (focus) refocus(focus);
    table.setAttribute("aria-label", model.get("words").table);
    caption.textContent = model.get("caption");
    scroll.hidden = !model.get("rows").length;
    note.textContent = model.get("note");
    note.hidden = !note.textContent;
    fold();
  }

  /* A key that removes a run leaves the focus at the next one's button, or at the one that pins. */
  function refocus(at) {
    const last = [...table.querySelectorAll(".explorer-run-remove")].at(-1);
    const pin = el.closest(".explorer")?.querySelector(".explorer-pin");
    (table.querySelector(`[data-at="${at}"]`) ?? last ?? pin)?.focus({ preventScroll: true });
  }

  /* Where columns are too many for the page, each run's settings stand below its name. */
  function fold() {
    root.classList.remove("explorer-folded");
    root.classList.toggle("explorer-folded", scroll.scrollWidth > scroll.clientWidth);
  }

  /* A name that is being typed is not taken away. */
  function later() {
    document.activeElement.addEventListener("blur", build, { once: true });
  }

  model.on("change:rows change:head change:note", build);
  const widths = new ResizeObserver(fold);
  widths.observe(el);
  build();
  return () => {
    widths.disconnect();
    model.off("change:rows change:head change:note", build);
  };
}

export default { render };
