/* Grab and release of the threshold slider, which ipywidgets doesn't report. */

const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];
const WATCHED = ["pointerdown", "pointerup", "pointercancel", "keydown", "keyup", "input", "focusout"];

function watchThreshold(el, send) {
  let held = null; // how the slider is held: "pointer", "key" or "text"
  const grab = (how) => {
    if (!held) send("grab");
    held = how;
  };
  const release = () => {
    held = null;
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
    pointerup: () => held === "pointer" && release(), // anywhere: the pointer may have left the slider
    pointercancel: () => held === "pointer" && release(),
    keydown: (event) => {
      if (MOVES.includes(event.key) && part(event) === "slider") grab("key");
      else if (event.key === "Enter" && held === "text") release();
    },
    keyup: (event) => held === "key" && MOVES.includes(event.key) && release(),
    input: (event) => part(event) === "readout" && grab("text"),
    focusout: (event) => (held === "key" || held === "text") && part(event) && release(),
  };
  const stop = new AbortController();
  for (const type of WATCHED) {
    document.addEventListener(type, hear[type], { capture: true, signal: stop.signal });
  }
  return () => stop.abort();
}
