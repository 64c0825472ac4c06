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
