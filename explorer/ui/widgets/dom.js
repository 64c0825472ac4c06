/* What the scripts of this folder share; assets.py puts it in front of each. */

const make = (tag, className = "", text = "") => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
};

function makeButton(className, text, tip, act) {
  const button = make("button", className, text);
  button.type = "button";
  if (tip) button.title = tip;
  button.addEventListener("click", act);
  return button;
}

/* An id that nothing else on the page has: each widget has its own copy of this text. */
const uniqueId = (start) => `${start}-${Math.random().toString(36).slice(2)}`;

/* Calls back when JupyterLab changes its theme; returns what ends it. */
function watchTheme(act) {
  const themes = new MutationObserver(() => act());
  themes.observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  return () => themes.disconnect();
}

