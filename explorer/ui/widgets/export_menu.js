/* A button that shows and hides a menu of files. What the kernel has written comes back as bytes and is offered as a
   link to a Blob, so that saving it works without the network and wherever the kernel runs. */

const element = (tag, className, text = "") => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
};

function render({ model, el }) {
  const words = model.get("words");
  const root = element("div", "explorer-exports");
  const button = element("button", "explorer-export jupyter-button", words.button);
  const panel = element("div", "explorer-export-menu");
  const status = element("p", "explorer-export-status");
  let link = null; // the Blob that is offered

  button.type = "button";
  button.title = words.tip;
  panel.id = `explorer-export-${Math.random().toString(36).slice(2)}`; // each explorer has its own copy of this text
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", words.button);
  button.setAttribute("aria-controls", panel.id);
  status.setAttribute("role", "status");

  for (const [what, title, kinds] of model.get("menu")) {
    const row = element("div", `explorer-export-row explorer-export-${what}`);
    const label = element("span", "explorer-export-title", title);
    label.id = `${panel.id}-${what}`;
    row.setAttribute("role", "group");
    row.setAttribute("aria-labelledby", label.id);
    const choices = element("span", "explorer-export-kinds");
    for (const [kind, name] of kinds) {
      const choice = element("button", `explorer-export-kind explorer-export-${what}-${kind}`, name);
      choice.type = "button";
      choice.addEventListener("click", () => ask(what, kind));
      choices.append(choice);
    }
    row.append(label, choices);
    panel.append(row);
  }
  panel.append(element("p", "explorer-export-note", words.note), status);
  root.append(button, panel);
  el.append(root);
  open(false);

  function open(on) {
    panel.hidden = !on;
    button.setAttribute("aria-expanded", on);
  }

  function ask(what, kind) {
    say(words.busy);
    panel.setAttribute("aria-busy", "true");
    model.send({ type: "export", what, kind });
  }

  function say(...parts) {
    if (link) URL.revokeObjectURL(link);
    link = null;
    status.replaceChildren(...parts);
  }

  function answer(message, buffers) {
    if (message.type !== "file" && message.type !== "failed") return;
    panel.removeAttribute("aria-busy");
    if (message.type === "failed") return say(words.failed);
    const anchor = element("a", "explorer-export-link", words.download);
    say(element("span", "explorer-export-path", message.path), " ", anchor);
    anchor.href = link = URL.createObjectURL(new Blob([buffers[0]], { type: "application/octet-stream" }));
    anchor.download = message.name;
    anchor.setAttribute("aria-label", `${words.download} ${message.name}`);
  }

  const outside = (event) => {
    if (!panel.hidden && !root.contains(event.target)) open(false);
  };
  button.addEventListener("click", () => open(panel.hidden));
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.stopPropagation(); // JupyterLab would leave the cell
    open(false);
    button.focus();
  });
  document.addEventListener("pointerdown", outside);
  model.on("msg:custom", answer);
  return () => {
    say();
    document.removeEventListener("pointerdown", outside);
    model.off("msg:custom", answer);
  };
}

export default { render };
