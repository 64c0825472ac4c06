/* Persistent Vega views. vega.py puts Vega and dom.js in front of this text and declares `explorerVega.embed`.
   One copy of this module's default export runs a widget model; each place that shows it is a view. */

const frame = () => new Promise(requestAnimationFrame);

/* ---- data ---- */

const readers = {
  // ipywidgets hands over DataViews at any offset; float32 wants an aligned copy
  number: (view) => {
    const values = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    return (i) => (Number.isFinite(values[i]) ? values[i] : null);
  },
  label: (view, labels) => {
    const codes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    return (i) => labels[codes[i]];
  },
};

function decode({ columns, length }, buffers) {
  const read = columns.map(({ labels }, j) => (labels ? readers.label(buffers[j], labels) : readers.number(buffers[j])));
  return Array.from({ length }, (_, i) => Object.fromEntries(columns.map(({ name }, j) => [name, read[j](i)])));
}

/* ---- theme ---- */

const [ROOMY, LARGER, TALLER] = [1400, 1.2, 1.4]; // as in explorer.css: on a projector, say, type is larger
const TYPE = /^(fontSize|labelFontSize|titleFontSize|subtitleFontSize|labelLimit|minExtent)$/;

function readTheme(roles, explorer) {
  const style = getComputedStyle(document.body);
  const light = document.body.dataset.jpThemeLight;
  const dark = light === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : light === "false";
  const variable = (name) => (name && style.getPropertyValue(name).trim()) || null;
  return {
    dark,
    scale: explorer?.clientWidth >= ROOMY ? LARGER : 1,
    font: variable("--jp-ui-font-family") ?? "system-ui, sans-serif",
    colours: roles.map(([day, night, name]) => [day, variable(name) ?? (dark ? night : day)]),
  };
}

function themed(spec, theme) {
  let text = JSON.stringify(spec);
  for (const [from, to] of theme.colours) text = text.replaceAll(JSON.stringify(from), JSON.stringify(to));
  return JSON.parse(text, (key, value) => {
    if (theme.scale === 1 || !TYPE.test(key)) return value;
    return typeof value === "number" ? value * theme.scale : larger(value, theme.scale);
  });
}

const larger = (value, scale) => (typeof value?.value === "number" ? { ...value, value: value.value * scale } : value);

/* ---- one chart in one view ---- */

class Pane {
  constructor(name) {
    this.figure = make("figure", `explorer-chart explorer-chart-${name}`);
    this.figure.dataset.chart = name;
    this.figure.setAttribute("role", "img");
  }

  get hidden() {
    return this.figure.hidden;
  }

  /* Shows or hides; true where it was hidden and is shown now. It may have got another width meanwhile. */
  turn(on) {
    const back = on && this.hidden;
    this.figure.hidden = !on;
    if (back) this.width = this.figure.clientWidth || this.width;
    return back;
  }

  async draw({ label, spec }, theme) {
    this.finalize();
    this.figure.setAttribute("aria-label", label);
    const drawn = themed(spec, theme);
    if (theme.scale !== 1 && typeof drawn.height === "number") drawn.height = Math.round(drawn.height * TALLER);
    this.own = drawn.signals?.find((signal) => signal.name === "width" && signal.init);
    if (this.own) {
      // a figure in a tab or a side bar changes width without the window's resize event that Vega listens to
      delete this.own.init;
      delete this.own.on;
      this.own.value = this.room();
    }
    this.datasets = new Set(drawn.data.map((data) => data.name));
    this.rows = new Map();
    const place = make("div");
    this.figure.replaceChildren(place);
    try {
      this.embedded = await explorerVega.embed(place, drawn, {
        mode: "vega",
        renderer: "canvas",
        actions: false,
        defaultStyle: false,
        config: { font: theme.font },
        tooltip: { theme: theme.dark ? "dark" : "light" },
      });
    } catch (error) {
      place.className = "explorer-chart-error";
      place.textContent = `This chart can't be drawn: ${error.message}`;
    }
  }

  /* In place: changed fields are modified, only the tail comes or goes. Removing all rows to insert new ones leaks
     in Vega's faceted marks (vega#2920) and is slower. */
  patch(dataset, rows) {
    if (!this.embedded || !this.datasets.has(dataset)) return;
    const before = this.rows.get(dataset) ?? [];
    const change = this.embedded.view.changeset();
    const stay = before.slice(0, rows.length);
    stay.forEach((row, i) => {
      for (const field in rows[i]) if (row[field] !== rows[i][field]) change.modify(row, field, rows[i][field]);
    });
    const fresh = rows.slice(before.length).map((row) => ({ ...row }));
    const surplus = before.slice(rows.length);
    if (fresh.length) change.insert(fresh);
    if (surplus.length) change.remove(surplus);
    this.embedded.view.change(dataset, change);
    this.rows.set(dataset, stay.concat(fresh));
  }

  /* Pixels to fill, as last reported. Asking the page itself is for the first time only: while JupyterLab switches
     themes it has another layout for a moment, and no report would follow that puts a wrong answer right. */
  room() {
    this.width ||= this.figure.clientWidth;
    return this.width || 300;
  }

  async paint() {
    // Vega's signal holds what is left for the plot; forced, as it would take a room of that very width for no news
    if (this.own) this.embedded?.view.signal("width", this.room(), { force: true });
    // without resize() Vega keeps the margins it measured while the data were empty, and crops legends and titles
    await this.embedded?.view.resize().runAsync();
  }

  finalize() {
    this.embedded?.finalize();
    this.embedded = null;
  }
}

/* ---- one view ---- */

function show({ model, el, latest, tagged }) {
  const root = make("div", "explorer-charts");
  root.dataset.frames = 0;
  el.appendChild(root);
  const panes = new Map(); // name -> { pane, key }: a pane is redrawn when its key changes
  const dirty = new Set(); // keys of `latest` that are to be patched in
  const narrow = new Map(); // figure -> its new width
  let [stale, working, over] = [true, false, false];
  let scale = 1; // of type, as last drawn
  let news = false; // a message came, perhaps with nothing but a tag

  const widths = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) narrow.set(target, Math.round(contentRect.width));
    if (readTheme([], el.closest(".explorer")).scale !== scale) stale = true;
    wake();
  });
  function rebuild() {
    stale = true;
    wake();
  }

  async function build() {
    stale = false;
    const theme = readTheme(model.get("_roles"), el.closest(".explorer"));
    scale = theme.scale;
    const charts = model.get("_charts");
    for (const [name, { pane }] of panes) if (!charts.some((chart) => chart.name === name)) drop(name, pane);
    const back = arrange(charts);
    for (const chart of charts) {
      const entry = panes.get(chart.name);
      if (entry.pane.hidden) continue; // drawn when it is shown
      const key = JSON.stringify([chart, theme]);
      if (entry.key === key && !back.has(entry.pane)) continue;
      if (entry.key !== key) await entry.pane.draw(chart, theme);
      entry.key = key;
      if (over) return entry.pane.finalize();
      widths.observe(entry.pane.figure);
      for (const [name, data] of latest) if (data.chart === chart.name) dirty.add(name);
    }
  }

  /* Puts the figures in their order and hides all but those that are shown, in one go; returns those that came back. */
  function arrange(charts) {
    const visible = model.get("visible");
    const back = new Set();
    for (const [at, { name, wide }] of charts.entries()) {
      if (!panes.has(name)) panes.set(name, { pane: new Pane(name), key: null });
      const { pane } = panes.get(name);
      if (root.children[at] !== pane.figure) root.insertBefore(pane.figure, root.children[at] ?? null);
      pane.figure.classList.toggle("explorer-wide", wide);
      if (pane.turn(!visible || visible.includes(name))) back.add(pane);
    }
    return back;
  }

  function drop(name, pane) {
    widths.unobserve(pane.figure);
    pane.finalize();
    pane.figure.remove();
    panes.delete(name);
  }

  async function paint() {
    const tag = tagged();
    news = false;
    const touched = new Set();
    for (const name of dirty) {
      const { chart, dataset, rows } = latest.get(name) ?? {};
      const pane = panes.get(chart)?.pane;
      if (!pane || pane.hidden) continue; // on being shown it gets all its newest data
      pane.patch(dataset, rows);
      touched.add(pane);
    }
    dirty.clear();
    for (const { pane } of panes.values()) {
      if (pane.hidden || !narrow.has(pane.figure)) continue;
      pane.width = narrow.get(pane.figure) || pane.width; // 0: in a tab of JupyterLab that is hidden
      touched.add(pane);
    }
    narrow.clear();
    for (const pane of touched) await pane.paint();
    requestAnimationFrame(() => {
      root.dataset.frames = Number(root.dataset.frames) + 1;
      if (tag !== null) root.dataset.tag = tag;
    });
  }

  /* The only place that builds or paints, so the two never run at once. A hidden tab gets no frames: the newest data
     wait in `latest`, the rest are never drawn. */
  async function wake() {
    if (working || over) return;
    working = true;
    try {
      while (!over && (stale || news || dirty.size || narrow.size)) {
        await frame();
        if (stale && !over) await build();
        if (!over) await paint();
      }
    } catch (error) {
      console.error("explorer charts:", error);
    } finally {
      working = false;
    }
  }

  model.on("change:_charts change:visible", rebuild);
  const unwatch = watchTheme(rebuild);
  wake();
  return {
    take(names) {
      for (const name of names) dirty.add(name);
      news = true;
      wake();
    },
    close() {
      over = true;
      model.off("change:_charts change:visible", rebuild);
      unwatch();
      widths.disconnect();
      for (const { pane } of panes.values()) pane.finalize();
      root.remove();
    },
  };
}

export default () => {
  const latest = new Map(); // "chart/dataset" -> its newest rows, kept for views still to come
  const views = new Set();
  let tag = null;

  function receive(message, buffers) {
    if (message.type !== "data") return;
    let at = 0;
    const names = message.tables.map((table) => {
      const name = `${table.chart}/${table.dataset}`;
      const own = buffers.slice(at, (at += table.columns.length));
      latest.set(name, { chart: table.chart, dataset: table.dataset, rows: decode(table, own) });
      return name;
    });
    tag = message.tag ?? tag;
    for (const view of views) view.take(names);
  }

  return {
    initialize({ model }) {
      model.on("msg:custom", receive);
      model.send({ type: "ready" }); // what was sent before this page listened, it gets now
      return () => model.off("msg:custom", receive);
    },
    render({ model, el }) {
      const view = show({ model, el, latest, tagged: () => tag });
      views.add(view);
      return () => {
        views.delete(view);
        view.close();
      };
    },
  };
};
