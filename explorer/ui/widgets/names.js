/* What ipywidgets leaves unsaid: to a screen reader the names and values of sliders, which groups are folded, and
   which tab the panel belongs to; to everybody the tooltips of menus, fields and boxes that have a label. */

function nameControls(explorer) {
  for (const handle of explorer.querySelectorAll(".noUi-handle")) {
    const control = handle.closest(".widget-inline-hbox");
    handle.setAttribute("aria-label", control?.querySelector(".widget-label")?.textContent ?? "");
    const readout = control?.querySelector(".widget-readout");
    const said = control?.parentElement.querySelector(":scope > .explorer-scrub-said") ?? readout;
    if (said) handle.setAttribute("aria-valuetext", said.textContent.trim()); // its own is a logarithm on some
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

async function tipControls(model) {
  const tip = model.get("description") && model.get("tooltip");
  const views = tip ? await Promise.all(Object.values(model.views ?? {})) : [];
  for (const { el } of views) if (el.title !== tip) el.title = tip;
  await Promise.all((model.get("children") ?? []).map(tipControls));
}

const REST = 500; // ms that a state stands before it is read out: a drag tries many thresholds

/* Reads out what the run is doing. The status line is written anew at each frame, and what is new is no news to a
   screen reader: only an element that stays can be heard to change. */
function readOut(el) {
  const said = document.createElement("span");
  said.className = "explorer-said";
  said.setAttribute("role", "status");
  el.append(said);
  let [next, timer] = ["", 0];
  const hear = (explorer) => {
    const state = explorer.querySelector(".explorer-fact-state b")?.textContent ?? "";
    if (state === next) return;
    next = state;
    clearTimeout(timer);
    timer = setTimeout(() => said.replaceChildren(state), REST);
  };
  const end = () => {
    clearTimeout(timer);
    said.remove();
  };
  return { hear, end };
}

/* Names what is there and what comes, in the explorer that a chart belongs to if it does; returns what ends it. */
function watchControls(el, chart) {
  const id = chart.get("_explorer");
  let due = false;
  let over = false;
  const name = () => {
    due = false;
    const explorer = el.closest(".explorer");
    if (!explorer) return id && !over ? soon() : undefined; // the chart may be there before what it is in
    nameControls(explorer);
    state.hear(explorer);
    if (id) chart.widget_manager.get_model(id).then(tipControls, () => {}); // it may be closed meanwhile
    if (explorer === watched) return;
    watched = explorer; // all of it: a tab may have sliders as well
    const what = { subtree: true, childList: true, characterData: true, attributes: true };
    changes.observe(explorer, { ...what, attributeFilter: ["class", "aria-selected"] });
  };
  const soon = () => {
    if (!due) requestAnimationFrame(name);
    due = true;
  };
  const state = readOut(el);
  let watched = null;
  const changes = new MutationObserver(soon);
  const stop = () => {
    over = true;
    state.end();
    changes.disconnect();
  };
  return { look: soon, stop };
}
