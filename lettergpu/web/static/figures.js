// What a network has become, drawn: curves, first weights, who is taken for whom.

import { bytes, paint, rgb } from "./inside.js";

const WIDTH = 400, HEIGHT = 225, LEFT = 34, BOTTOM = 24, TOP = 10, RIGHT = 12;
const HIGHEST_LOSS = 5;  // nats; guessing among 26 has 3.26
const TILES = 8;  // nodes a row
const SVG = "http://www.w3.org/2000/svg";

// Curves over epochs. runs: [{ epochs, total, className }], the newest last; names: of the numbers of an epoch.
export function drawCurves(svg, runs, names, { highest, tick, write, title }) {
  const epochs = Math.max(2, ...runs.map((run) => Math.min(run.total, Math.max(10, 2 * run.epochs.length))));
  const top = highest ?? Math.min(HIGHEST_LOSS, Math.max(0.5, ...runs.flatMap((run) =>
    run.epochs.flatMap((epoch) => names.map((name) => epoch[name]).filter(Number.isFinite)))));
  const x = (epoch) => LEFT + (WIDTH - LEFT - RIGHT) * (epoch - 1) / (epochs - 1);
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * Math.min(value, top) / top;
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const parts = [];
  for (let value = 0; value <= top * 1.001; value += tick(top)) {
    parts.push(shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    parts.push(shape("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, write(value)));
  }
  const step = [1, 2, 5, 10, 20, 50, 100, 200].find((each) => epochs / each <= 8) ?? 500;
  for (let epoch = step; epoch <= epochs; epoch += step) {
    parts.push(shape("text", { x: x(epoch), y: HEIGHT - 6, "text-anchor": "middle" }, String(epoch)));
  }
  for (const { epochs: done, className } of runs) {
    names.forEach((name, i) => {
      const known = done.filter((epoch) => Number.isFinite(epoch[name]));
      const points = known.map((epoch) => `${x(epoch.epoch).toFixed(1)},${y(epoch[name]).toFixed(1)}`).join(" ");
      parts.push(shape("polyline", { points, class: `${className} ${i ? "val" : "train"}` }));
      const last = known.at(-1);
      if (i && last) parts.push(shape("circle", { cx: x(last.epoch), cy: y(last[name]), r: 3.5, class: className }));
    });
    const broken = done.find((epoch) => !Number.isFinite(epoch[names[1]]));
    if (broken) parts.push(shape("text", { x: x(broken.epoch) + 4, y: TOP + 12, class: "broken" }, "NaN"));
  }
  svg.replaceChildren(...parts);
  const now = runs.at(-1)?.epochs.at(-1)?.[names[1]];
  svg.setAttribute("aria-label", `${title}: ${runs.length ? (Number.isFinite(now) ? write(now, true) : "not a number") : "nothing yet"}`);
}

function shape(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

export function drawWeights(canvas, { nodes, values }) {
  const weights = new Int8Array(bytes(values).buffer);
  const columns = Math.min(TILES, nodes), rows = Math.ceil(nodes / columns);
  Object.assign(canvas, { width: 29 * columns + 1, height: 29 * rows + 1 });
  const [on, off, none] = ["--accent", "--quiet", "--paper"].map(rgb);
  for (let node = 0; node < nodes; node += 1) {
    const tile = document.createElement("canvas");
    Object.assign(tile, { width: 28, height: 28 });
    paint(tile, weights.subarray(784 * node, 784 * (node + 1)), 28, (value) => {
      const strength = Math.sqrt(Math.abs(value) / 127);  // so that weak ones are seen too
      return none.map((from, c) => from + ((value > 0 ? on : off)[c] - from) * strength);
    });
    canvas.getContext("2d").drawImage(tile, 1 + 29 * (node % columns), 1 + 29 * Math.floor(node / columns));
  }
  canvas.setAttribute("aria-label", `The weights of ${nodes} nodes of the first layer, as pictures of 28 by 28 points`);
}

export function drawConfusion(canvas, matrix, classes) {
  const cell = 22, side = (classes.length + 1) * cell;
  Object.assign(canvas, { width: side, height: side });
  const context = canvas.getContext("2d");
  const [right, wrong, none, quiet] = ["--accent", "--wrong", "--paper", "--quiet"].map(rgb);
  context.font = "14px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = `rgb(${quiet})`;
  classes.forEach((name, i) => {
    context.fillText(name, cell / 2, (i + 1.5) * cell);
    context.fillText(name, (i + 1.5) * cell, cell / 2);
  });
  matrix.forEach((row, i) => {
    const all = row.reduce((sum, count) => sum + count, 0) || 1;
    row.forEach((count, j) => {
      const strength = Math.sqrt(count / all), colour = i === j ? right : wrong;
      context.fillStyle = `rgb(${none.map((from, c) => Math.round(from + (colour[c] - from) * strength))})`;
      context.fillRect((j + 1) * cell, (i + 1) * cell, cell - 1, cell - 1);
    });
  });
  const pairs = matrix.flatMap((row, i) => row.map((count, j) => [i === j ? 0 : count, i, j])).sort((a, b) => b[0] - a[0]);
  const [most, is, taken] = pairs[0];
  const worst = most ? `; most often ${classes[is]} is read as ${classes[taken]}, ${most} times` : "";
  canvas.setAttribute("aria-label", `Which letters are read as which${worst}`);
}

export function mistakeRow({ image, is, taken, probability }, classes) {
  const row = document.createElement("li");
  const [canvas, text] = ["canvas", "span"].map((tag) => row.appendChild(document.createElement(tag)));
  Object.assign(canvas, { width: 28, height: 28 });
  canvas.setAttribute("aria-hidden", "true");
  paint(canvas, bytes(image), 28, (grey) => [grey, grey, grey]);
  text.textContent = `${classes[is]}, read as ${classes[taken]}, ${Math.round(100 * probability)} %`;
  return row;
}
