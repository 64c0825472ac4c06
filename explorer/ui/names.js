/* What ipywidgets leaves unsaid to a screen reader: the names and values of sliders, which groups are folded. */

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
}

/* Names what is there and what comes; returns what ends it. */
function watchControls(el) {
  let due = false;
  const name = () => {
    due = false;
    const explorer = el.closest(".explorer");
    if (!explorer) return;
    nameControls(explorer);
    if (explorer === watched) return;
    watched = explorer; // all of it: a tab may have sliders as well
    const what = { subtree: true, childList: true, characterData: true, attributes: true };
    changes.observe(explorer, { ...what, attributeFilter: ["class"] });
  };
  const soon = () => {
    if (!due) requestAnimationFrame(name);
    due = true;
  };
  let watched = null;
  const changes = new MutationObserver(soon);
  return { look: soon, stop: () => changes.disconnect() };
}
