/* A button that shows and hides a menu of files. What the kernel has written comes back as bytes and is offered as a
   link to a Blob, so that saving it works without the network and wherever the kernel runs. */

function render({ model, el }) {
  const words = model.get("words");
  const root = make("div", "explorer-exports");
  const button = makeButton("explorer-export jupyter-button", words.button, words.tip, () => open(panel.hidden));
  const panel = make("div", "explorer-export-menu");
  const status = make("p", "explorer-export-status");
  let link = null; // the Blob that is offered

  panel.id = uniqueId("explorer-export");
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", words.button);
  button.setAttribute("aria-controls", panel.id);
  status.setAttribute("role", "status");

  for (const [what, title, kinds] of model.get("menu")) {
    const row = make("div", `explorer-export-row explorer-export-${what}`);
    const label = make("span", "explorer-export-title", title);
    label.id = `${panel.id}-${what}`;
    row.setAttribute("role", "group");
    row.setAttribute("aria-labelledby", label.id);
    const choices = make("span", "explorer-export-kinds");
    for (const [kind, name] of kinds) {
      const classes = `explorer-export-kind explorer-export-${what}-${kind}`;
      choices.append(makeButton(classes, name, "", () => request(what, kind)));
    }
    row.append(label, choices);
    panel.append(row);
  }
  panel.append(make("p", "explorer-export-note", words.note), status);
  root.append(button, panel);
  el.append(root);
  open(false);

  function open(on) {
    panel.hidden = !on;
    button.setAttribute("aria-expanded", on);
  }

  function request(what, kind) {
    say(words.busy);
    panel.setAttribute("aria-busy", "true");
    model.send({ type: "export", what, kind });
  }

  function say(...parts) {
    if (link) URL.revokeObjectURL(link);
    link = null;
    status.replaceChildren(...parts);
  }

  function receive(message, buffers) {
    if (message.type !== "file" && message.type !== "failed") return;
    panel.removeAttribute("aria-busy");
    if (message.type === "failed") return say(words.failed);
    const anchor = make("a", "explorer-export-link", words.download);
    say(make("span", "explorer-export-path", message.path), " ", anchor);
    anchor.href = link = URL.createObjectURL(new Blob([buffers[0]], { type: "application/octet-stream" }));
    anchor.download = message.name;
    anchor.setAttribute("aria-label", `${words.download} ${message.name}`);
  }

  const outside = (event) => {
    if (!panel.hidden && !root.contains(event.target)) open(false);
  };
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.stopPropagation(); // JupyterLab would leave the cell
    open(false);
    button.focus();
  });
  document.addEventListener("pointerdown", outside);
  model.on("msg:custom", receive);
  return () => {
    say();
    document.removeEventListener("pointerdown", outside);
    model.off("msg:custom", receive);
  };
}

export default { render };
