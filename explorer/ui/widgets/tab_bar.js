/* A tablist as WAI-ARIA has it: one tab is in the tab order, arrows move along the others and choose. */

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

function render({ model, el }) {
  const bar = document.createElement("div");
  bar.className = "explorer-tabs";
  bar.setAttribute("role", "tablist");
  bar.setAttribute("aria-label", model.get("label"));
  el.appendChild(bar);
  const mine = `explorer-tab-${Math.random().toString(36).slice(2)}`; // an id is unique on the page, whatever else is there

  const buttons = () => [...bar.children];
  const choose = (name) => {
    model.set("selected", name);
    model.save_changes();
  };

  function build() {
    bar.replaceChildren(
      ...model.get("tabs").map(({ name, title, tip }) => {
        const tab = document.createElement("button");
        tab.type = "button";
        tab.id = `${mine}-${name}`;
        tab.className = `explorer-tab explorer-tab-${name}`;
        tab.dataset.tab = name;
        tab.textContent = title;
        tab.title = tip;
        tab.setAttribute("role", "tab");
        tab.addEventListener("click", () => choose(name));
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
