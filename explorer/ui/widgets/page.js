/* What ipywidgets leaves out, for a whole explorer: the grab and release of the threshold's slider, names and values for
   a screen reader, tooltips, and keys that stay here. Each view serves the `.explorer` that it is in. */

/* ---- the threshold's slider ---- */

const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];

function watchThreshold(el, send) {
  let grip = null; // how the slider is held: "pointer", "key" or "text"
  const grab = (how) => {
    if (!grip) send("grab");
    grip = how;
  };
  const release = () => {
    grip = null;
    setTimeout(() => send("release"), 0); // we hear the event before the slider does, which sets its value in this task
  };
  const part = (event) => {
    const path = event.composedPath().filter((node) => node instanceof Element);
    const control = path.find((node) => node.classList.contains("explorer-threshold"));
    const explorer = control?.closest(".explorer");
    if (!explorer || explorer !== el.closest(".explorer")) return null;
    if (path.some((node) => node.classList.contains("noUi-target"))) return "slider";
    return path.some((node) => node.classList.contains("widget-readout")) ? "readout" : null;
  };
  const hear = {
    pointerdown: (event) => part(event) === "slider" && grab("pointer"),
    pointerup: () => grip === "pointer" && release(), // anywhere: the pointer may have left the slider
    pointercancel: () => grip === "pointer" && release(),
    keydown: (event) => {
      if (MOVES.includes(event.key) && part(event) === "slider") grab("key");
      else if (event.key === "Enter" && grip === "text") release();
    },
    keyup: (event) => grip === "key" && MOVES.includes(event.key) && release(),
    input: (event) => part(event) === "readout" && grab("text"),
    focusout: (event) => (grip === "key" || grip === "text") && part(event) && release(),
  };
  const stop = new AbortController();
  for (const [type, act] of Object.entries(hear)) {
    document.addEventListener(type, act, { capture: true, signal: stop.signal });
  }
  return () => stop.abort();
}

/* ---- names for a screen reader ---- */

/* Names and values of sliders, which groups are folded, and which tab the panel belongs to. */
function nameControls(explorer) {
  for (const handle of explorer.querySelectorAll(".noUi-handle")) {
    const control = handle.closest(".widget-inline-hbox");
    handle.setAttribute("aria-label", control?.querySelector(".widget-label")?.textContent ?? "");
    const readout = control?.querySelector(".widget-readout");
    const value = control?.parentElement.querySelector(":scope > .explorer-scrub-said") ?? readout;
    if (value) handle.setAttribute("aria-valuetext", value.textContent.trim()); // its own is a logarithm on some
    readout?.setAttribute("aria-label", handle.getAttribute("aria-label"));
  }
  for (const head of explorer.querySelectorAll(".explorer-group-head")) {
    head.setAttribute("aria-expanded", head.classList.contains("mod-active"));
  }
  namePanel(explorer.querySelector(".explorer-tabpanel"), [...explorer.querySelectorAll("[role=tab]")]);
}

/* All tabs share one panel, as their charts are one widget. */
function namePanel(panel, tabs) {
  const selected = tabs.find((tab) => tab.ariaSelected === "true");
  if (!panel || !selected) return;
  panel.id ||= `${selected.id}-panel`;
  panel.tabIndex = 0; // a tab of nothing but charts has no other stop for the keyboard
  panel.setAttribute("role", "tabpanel");
  panel.setAttribute("aria-labelledby", selected.id);
  for (const tab of tabs) tab.setAttribute("aria-controls", panel.id);
}

const REST = 500; // ms that a state stands before it is read out: a drag tries many thresholds

/* Reads out what the run is doing. The status line is written anew at each frame, and what is new is no news to a
   screen reader: only an element that stays can be heard to change. */
function readOut(el) {
  const voice = make("span", "explorer-said");
  voice.setAttribute("role", "status");
  el.append(voice);
  let [next, timer] = ["", 0];
  const look = (explorer) => {
    const state = explorer.querySelector(".explorer-fact-state b")?.textContent ?? "";
    if (state === next) return;
    next = state;
    clearTimeout(timer);
    timer = setTimeout(() => voice.replaceChildren(state), REST);
  };
  const stop = () => {
    clearTimeout(timer);
    voice.remove();
  };
  return { look, stop };
}

/* ---- tooltips ---- */

/* Of menus, fields and boxes that have a label, on which ipywidgets shows none. */
function watchTooltips(getRoot) {
  let [root, over] = [null, false];
  const show = async (model) => {
    const tip = model.get("description") && model.get("tooltip");
    const views = tip ? await Promise.all(Object.values(model.views ?? {})) : [];
    for (const { el } of views) if (el.title !== tip) el.title = tip;
  };
  const walk = (model) => {
    root.listenTo(model, "change:tooltip", show);
    show(model);
    model.get("children")?.forEach(walk);
  };
  const stop = () => root?.stopListening(undefined, undefined, show);
  const look = async () => {
    root = await getRoot().catch(() => null); // it may be closed meanwhile
    stop();
    if (root && !over) walk(root);
  };
  return { look, stop: () => ((over = true), stop()) };
}

/* ---- whatever changes on the page ---- */

const WIDGET = ".jupyter-widgets";
const hasWidget = (node) => node instanceof Element && (node.matches(WIDGET) || node.querySelector(WIDGET));

/* Names what is there and what comes, once a frame; returns what ends it. */
function watchControls(el, getRoot) {
  const [state, tooltips] = [readOut(el), watchTooltips(getRoot)];
  let [due, watching, over] = [false, false, false];
  const name = () => {
    due = false;
    const explorer = el.closest(".explorer");
    if (over) return;
    if (!explorer) return soon(); // this may be there before what it is in
    if (!watching) watch(explorer);
    nameControls(explorer);
    state.look(explorer);
  };
  const soon = () => {
    if (!due) requestAnimationFrame(name);
    due = true;
  };
  const watch = (explorer) => {
    watching = true;
    const what = { subtree: true, childList: true, characterData: true }; // all of it: tabs have sliders as well
    changes.observe(explorer, { ...what, attributeFilter: ["class", "aria-selected"] });
    tooltips.look();
  };
  const changes = new MutationObserver((records) => {
    if (records.some(({ addedNodes }) => [...addedNodes].some(hasWidget))) tooltips.look();
    soon();
  });
  soon();
  return () => {
    over = true;
    changes.disconnect();
    state.stop();
    tooltips.stop();
  };
}

/* ---- keys ---- */

/* Jupyter has shortcuts of a single key: with the focus in the explorer, X would cut the very cell that shows it, and
   an arrow would go to another cell instead of moving a slider. Keys on their own stay in the explorer; those with
   Ctrl, Alt or Command, and Shift+Enter, are Jupyter's. */
function keepKeys(el) {
  const hear = (event) => {
    const explorer = event.target.closest?.(".explorer");
    if (!explorer || explorer !== el.closest(".explorer")) return;
    const theirs = event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && event.key === "Enter");
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !theirs);
  };
  window.addEventListener("keydown", hear, true); // before Jupyter, which listens at the document
  return () => window.removeEventListener("keydown", hear, true);
}

function render({ model, el }) {
  const modelOf = (id) => model.widget_manager.get_model(id);
  // With the values, as ipywidgets holds a slider's last one back while an earlier one is on its way to the kernel.
  const send = async (type) => {
    const sliders = await Promise.all(model.get("sliders").map(modelOf));
    model.send({ type, values: sliders.map((slider) => slider.get("value")) });
  };
  const stops = [watchThreshold(el, send), watchControls(el, async () => modelOf(model.get("root"))), keepKeys(el)];
  return () => stops.forEach((stop) => stop());
}

export default { render };
