/* A pad to draw on. Ink is the alpha of its canvas; its colour is the page's. What is drawn goes to the kernel ten
   times a second, and comes back as the picture that the networks see and their answers. */

const SIDE = 140; // pixels of the pad's own
const PEN = 12;
const EVERY = 100; // ms between two messages while the pen moves

const inkOf = (canvas) => getComputedStyle(canvas).color;

/* ---- the pen ---- */

function pen(pad, send) {
  const context = pad.getContext("2d", { willReadFrequently: true });
  let last = null;
  let sent = 0;
  let fresh = true; // what is on the pad was not drawn by hand

  const at = (event) => [(event.offsetX / pad.clientWidth) * SIDE, (event.offsetY / pad.clientHeight) * SIDE];

  function line(to) {
    context.strokeStyle = inkOf(pad);
    context.lineWidth = PEN;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...to);
    context.stroke();
    last = to;
  }

  function tell() {
    sent = performance.now();
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    send(Uint8Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i + 3]));
  }

  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    event.stopPropagation();
    pad.setPointerCapture(event.pointerId);
    if (fresh) clear();
    fresh = false;
    last = at(event);
    line(last);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!last) return;
    line(at(event));
    if (performance.now() - sent > EVERY) tell();
  });
  for (const type of ["pointerup", "pointercancel"]) {
    pad.addEventListener(type, () => {
      if (last) tell();
      last = null;
    });
  }

  function clear() {
    context.clearRect(0, 0, SIDE, SIDE);
    fresh = true;
  }

  /* Gives what is drawn the page's present colour. */
  function recolour() {
    context.globalCompositeOperation = "source-in";
    context.fillStyle = inkOf(pad);
    context.fillRect(0, 0, SIDE, SIDE);
    context.globalCompositeOperation = "source-over";
  }

  function show(image) {
    clear();
    context.drawImage(image, 0, 0, SIDE, SIDE);
  }
  return { clear, recolour, show };
}

/* ---- what comes back ---- */

function picture(canvas, codes, [rows, columns]) {
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const ink = inkOf(canvas).match(/[\d.]+/g).map(Number);
  for (let i = 0; i < codes.byteLength; i += 1) image.data.set([...ink.slice(0, 3), codes.getUint8(i)], 4 * i);
  context.putImageData(image, 0, 0);
}

function bars(place, { names = [], nets = {}, unit = "" }) {
  const columns = Object.entries(nets);
  place.style.gridTemplateColumns = `max-content repeat(${columns.length}, 1fr)`;
  place.replaceChildren(
    ...(columns.length ? [make("span", "explorer-sketch-head", "")] : []),
    ...columns.map(([net]) => make("span", "explorer-sketch-head", `${net}: ${unit}`)),
    ...names.flatMap((name, i) => [make("span", "", name), ...columns.map(([net, values]) => bar(values, i, net))]),
  );
}

function bar(values, i, net) {
  const row = make("div", "explorer-sketch-bar");
  if (values[i] === Math.max(...values)) row.classList.add("explorer-sketch-best");
  const filled = make("i");
  filled.style.width = `${100 * values[i]}%`;
  filled.style.background = `rgb(var(--explorer-${net}))`;
  row.append(filled, make("span", "", `${(100 * values[i]).toFixed(values[i] >= 0.0995 ? 0 : 1)} %`));
  return row;
}

/* ---- the widget ---- */

function render({ model, el }) {
  const words = model.get("_words");
  const root = make("div", "explorer-sketch");
  const left = make("div", "explorer-sketch-left");
  const pad = make("canvas", "explorer-sketch-pad");
  const image = make("canvas");
  const imageRow = make("div", "explorer-sketch-seen");
  const place = make("div", "explorer-sketch-bars");
  const answer = make("div", "explorer-sketch-told");
  [pad.width, pad.height] = [SIDE, SIDE];
  pad.setAttribute("role", "img");
  pad.setAttribute("aria-label", words.pad);
  answer.setAttribute("role", "status");
  place.setAttribute("aria-hidden", "true"); // the line above tells it in words

  const drawing = pen(pad, (ink) => model.send({ type: "draw", side: SIDE }, undefined, [ink.buffer]));
  const button = (name, act) => {
    const classes = `jupyter-button widget-button explorer-sketch-${name}`;
    return makeButton(classes, words[name], words[`${name}_tip`], act);
  };
  const random = button("random", () => model.send({ type: "random" }));
  const clear = button("clear", () => {
    drawing.clear();
    model.send({ type: "clear" });
  });
  const buttons = make("div", "explorer-sketch-buttons");
  buttons.append(clear, random);
  imageRow.append(image, make("span", "", words.image));
  left.append(pad, buttons, imageRow);
  root.append(make("div", "explorer-sketch-title", words.title), left, place, answer);
  el.appendChild(root);

  function draw() {
    const codes = model.get("_image");
    const [source, outputs] = [model.get("source"), model.get("_bars")];
    random.disabled = !model.get("offers");
    imageRow.style.visibility = codes.byteLength ? "" : "hidden";
    if (codes.byteLength) picture(image, codes, model.get("_shape"));
    if (source) drawing.show(image);
    bars(place, outputs);
    answer.textContent = outputs.text ? [source, outputs.text].filter(Boolean).join(": ") : words.empty;
  }

  const unwatch = watchTheme(() => {
    drawing.recolour();
    draw();
  });
  model.on("change", draw);
  requestAnimationFrame(draw); // ink has the page's colour, which this has only once it is on the page
  return () => {
    unwatch();
    model.off("change", draw);
  };
}

export default { render };
