/* A text to copy, or to paste over. Until it is applied or undone, what was typed stays as it is. */

function render({ model, el }) {
  const words = model.get("words");
  const root = make("section", "explorer-share explorer-small-buttons");
  const label = make("label", "explorer-share-label", words.label);
  const hint = make("p", "explorer-share-hint", words.hint);
  const text = make("textarea", "explorer-share-text");
  text.id = uniqueId("explorer-share");
  [label.htmlFor, text.rows, text.spellcheck, text.wrap] = [text.id, 7, false, "soft"];
  const status = make("span", "explorer-share-told");
  status.setAttribute("role", "status");
  let format = "code";

  const present = () => model.get(format);
  const mine = () => text.value !== text.defaultValue;
  const tell = (words, bad = false) => {
    status.textContent = words;
    status.classList.toggle("explorer-share-bad", bad);
  };

  function show() {
    text.value = text.defaultValue = present();
    mark();
  }

  function mark() {
    apply.disabled = undo.disabled = !mine();
    for (const [name, choice] of Object.entries(choices)) choice.setAttribute("aria-pressed", name === format);
  }

  const button = (name, act) => makeButton(`explorer-share-${name}`, words[name], words[`${name}Tip`], act);

  async function copy() {
    try {
      await navigator.clipboard.writeText(text.value);
      tell(words.copied);
    } catch {
      text.focus();
      text.select();
      let done = false;
      try {
        done = document.execCommand("copy");
      } catch {
        /* the person presses the keys */
      }
      tell(done ? words.copied : words.selected);
    }
  }

  const choose = (name) => () => {
    format = name;
    tell("");
    show();
  };
  const choices = { code: button("code", choose("code")), json: button("json", choose("json")) };
  const apply = button("apply", () => model.send({ type: "apply", text: text.value }));
  const undo = button("undo", () => (tell(""), show()));
  const formats = make("span", "explorer-share-formats");
  formats.setAttribute("role", "group");
  formats.setAttribute("aria-label", words.format);
  formats.append(...Object.values(choices));
  const bar = make("div", "explorer-share-bar");
  bar.append(formats, button("copy", copy), apply, undo, status);

  const receive = (message) => {
    if (message.type !== "reply") return;
    tell(message.text, !message.ok);
    if (message.ok) show();
  };
  const news = () => mine() || show();
  text.addEventListener("input", () => (tell(""), mark()));
  text.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab's own keys
  model.on("msg:custom", receive);
  model.on("change:json change:code", news);
  root.append(label, hint, text, bar);
  el.append(root);
  show();
  return () => {
    model.off("msg:custom", receive);
    model.off("change:json change:code", news);
  };
}

export default { render };
