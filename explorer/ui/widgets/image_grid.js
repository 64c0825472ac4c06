/* Little images by the hundred. The kernel sends codes, a byte or two a pixel; colours are the page's own, as only
   it knows its theme. What is pruned is grey, a kept weight of zero has the page's colour. */

const paints = {
  weights: (code, { positive, negative, none }) =>
    code ? [...(code < 128 ? negative : positive), Math.abs(code - 128) / 127] : none,
  counts: (code, { positive, none, least }, most) =>
    code ? [...positive, least + (1 - least) * (most > 1 ? (code - 1) / (most - 1) : 1)] : none,
  shares: (code, { positive, none, least }) => (code ? [...positive, least + ((1 - least) * code) / 255] : none),
  image: (code, { ink }) => [...ink, code / 255],
};

function codesOf({ kind, codes }) {
  const bytes = codes.buffer ? codes : new DataView(codes);
  if (kind !== "counts") return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/* Every code's colour, worked out once a sheet. */
function table({ kind }, colours, codes) {
  const most = kind === "counts" ? codes.reduce((a, b) => Math.max(a, b), 1) : 255;
  return Array.from({ length: most + 1 }, (_, code) => {
    const [red, green, blue, alpha] = paints[kind](code, colours, most);
    return [red, green, blue, Math.round(255 * alpha)];
  });
}

function set(element, name, value) {
  if (element[name] !== value) element[name] = value;
}

/* ---- one sheet ---- */

class Panel {
  constructor({ name, kind }) {
    this.root = make("section", `explorer-sheet explorer-sheet-${name} explorer-${kind}`);
    this.title = make("div", "explorer-sheet-title");
    this.note = make("div", "explorer-sheet-note");
    this.body = make("div", "explorer-sheet-body");
    this.legend = make("div", "explorer-legend");
    this.body.setAttribute("role", "img");
    this.root.append(this.title, this.note, this.body, this.legend);
  }

  draw(sheet, colours) {
    for (const part of ["title", "note"]) {
      set(this[part], "textContent", sheet[part]);
      set(this[part], "hidden", !sheet[part]);
    }
    this.body.setAttribute("aria-label", sheet.text);
    this.body.style.setProperty("--explorer-tile-width", `${sheet.width}px`);
    this.body.style.setProperty("--explorer-tile-height", `${sheet.height}px`);
    this.root.style.display = sheet.count || sheet.note ? "" : "none";
    this.drawLegend(sheet);
    this.resize(sheet.count);
    const codes = codesOf(sheet);
    const shades = table(sheet, colours, codes);
    this.tiles().forEach((tile, i) => this.drawTile(tile, sheet, i, codes, shades));
    this.reach();
  }

  /* Pictures that do not all fit can be scrolled by keys, too. */
  reach() {
    if (this.body.scrollHeight > this.body.clientHeight) this.body.tabIndex = 0;
    else this.body.removeAttribute("tabindex");
  }

  tiles() {
    return [...this.body.children];
  }

  resize(count) {
    while (this.body.children.length > count) this.body.lastChild.remove();
    while (this.body.children.length < count) {
      const tile = make("figure", "explorer-tile");
      tile.append(make("canvas"));
      this.body.append(tile);
    }
  }

  drawTile(tile, sheet, i, codes, shades) {
    const { rows, columns } = sheet;
    const canvas = tile.firstChild;
    set(canvas, "width", columns);
    set(canvas, "height", rows);
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let at = 0, from = i * rows * columns; at < rows * columns; at += 1) image.data.set(shades[codes[from + at]], 4 * at);
    context.putImageData(image, 0, 0);
    const dead = Boolean(sheet.dead[i]);
    tile.classList.toggle("explorer-dead", dead);
    if (sheet.cell) this.watchCells(canvas, sheet, codes.subarray(i * rows * columns));
    else set(tile, "title", sheet.tips[i] ?? "");
    this.extra(tile, "explorer-meter", sheet.meters.length, (meter) => {
      if (!meter.firstChild) meter.append(make("i"));
      meter.firstChild.style.width = `${100 * sheet.meters[i]}%`;
    });
    this.extra(tile, "explorer-caption", sheet.captions.length, (caption) => set(caption, "textContent", sheet.captions[i]));
  }

  extra(tile, name, needed, fill) {
    let part = tile.querySelector(`.${name}`);
    if (!needed) return part?.remove();
    if (!part) tile.append((part = make(name === "explorer-caption" ? "figcaption" : "div", name)));
    fill(part);
  }

  watchCells(canvas, { rows, columns, cell }, codes) {
    canvas.onmousemove = ({ offsetX, offsetY }) => {
      const row = Math.min(rows - 1, Math.max(0, Math.floor((offsetY / canvas.clientHeight) * rows)));
      const column = Math.min(columns - 1, Math.max(0, Math.floor((offsetX / canvas.clientWidth) * columns)));
      const words = { row: row + 1, column: column + 1, value: codes[row * columns + column] };
      set(canvas, "title", cell.replace(/\{(\w+)\}/g, (_, name) => words[name]));
    };
  }

  drawLegend({ legend }) {
    const key = JSON.stringify(legend);
    if (this.key === key) return;
    this.key = key;
    const { none, low, high, dead, meter } = legend;
    const entry = (...parts) => {
      const whole = make("span");
      whole.append(...parts);
      return whole;
    };
    const parts = high ? [entry(low, make("b", "explorer-scale"), high)] : [];
    for (const [name, words] of Object.entries({ none, dead, meter })) {
      if (words) parts.push(entry(make("b", `explorer-${name}`), words));
    }
    this.legend.replaceChildren(...parts);
  }
}

/* ---- the widget ---- */

function coloursOf(element) {
  const style = getComputedStyle(element);
  const values = (name) => style.getPropertyValue(`--explorer-${name}`).split(",").map(Number);
  const [ink, positive, negative] = ["ink", "pruned", "removed"].map(values);
  return { ink, positive, negative, none: [...values("dense"), ...values("pruned-alpha")], least: values("least-alpha")[0] };
}

function render({ model, el }) {
  const root = make("div", "explorer-tiles");
  el.appendChild(root);
  let panels = [];
  let shape = "";
  let waiting = false;

  function draw() {
    waiting = false;
    const sheets = model.get("_sheets");
    const now = JSON.stringify(sheets.map(({ name, kind }) => [name, kind]));
    if (now !== shape) {
      panels = sheets.map((sheet) => new Panel(sheet));
      root.replaceChildren(...panels.map((panel) => panel.root));
      shape = now;
    }
    const colours = coloursOf(root);
    sheets.forEach((sheet, i) => panels[i].draw(sheet, colours));
    root.dataset.draws = Number(root.dataset.draws ?? 0) + 1;
  }

  function wake() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  }

  const unwatch = watchTheme(wake);
  const sizes = new ResizeObserver(() => panels.forEach((panel) => panel.reach()));
  sizes.observe(root);
  model.on("change:_sheets", wake);
  wake();
  return () => {
    unwatch();
    sizes.disconnect();
    model.off("change:_sheets", wake);
  };
}

export default { render };
