/* A tablist as WAI-ARIA has it: one tab is in the tab order, arrows move along the others and choose. */

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

function render({ model, el }) {
  const bar = make("div", "explorer-tabs");
  bar.setAttribute("role", "tablist");
  bar.setAttribute("aria-label", model.get("label"));
  el.appendChild(bar);
  const start = uniqueId("explorer-tab");

  const buttons = () => [...bar.children];
  const choose = (name) => {
    model.set("selected", name);
    model.save_changes();
  };

  function build() {
    bar.replaceChildren(
      ...model.get("tabs").map(({ name, title, tip }) => {
        const tab = makeButton(`explorer-tab explorer-tab-${name}`, title, tip, () => choose(name));
        tab.id = `${start}-${name}`;
        tab.dataset.tab = name;
        tab.setAttribute("role", "tab");
        return tab;
      }),
    );
    mark();
  }

  function mark() {
    for (const tab of buttons()) {
      const selected = tab.dataset.tab === model.get("selected");
      tab.setAttribute("aria-selected", selected);
      tab.tabIndex = selected ? 0 : -1;
    }
  }

  bar.addEventListener("keydown", (event) => {
    const tabs = buttons();
    const at = tabs.indexOf(document.activeElement);
    const ends = { Home: 0, End: tabs.length - 1 };
    const to = ends[event.key] ?? (event.key in STEPS ? (at + STEPS[event.key] + tabs.length) % tabs.length : null);
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys
    tabs[to].focus();
    choose(tabs[to].dataset.tab);
  });
  model.on("change:selected", mark);
  model.on("change:tabs", build);
  build();
  return () => {
    model.off("change:selected", mark);
    model.off("change:tabs", build);
  };
}

export default { render };
