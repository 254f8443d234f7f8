// A letter's way through the network: what it saw, what its hidden layers made of it, what it answers.

const ORDER = ["First", "Second", "Third"];
const FAINT = 0.1;  // of the layer's strongest, above which a node counts as responding
const NODE = 6;  // CSS pixels of a node's side

export const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
export const percent = (share) => share > 0.999 ? "> 99.9 %" : share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;

export function showInside(letter) {
  const name = letter.top[0].letter;
  const seen = document.getElementById("seen");
  paint(seen, bytes(letter.image), 28, (grey) => [grey, grey, grey]);
  seen.setAttribute("aria-label", `The letter read as ${name}, scaled to 28 by 28 points`);
  document.getElementById("layers").replaceChildren(...letter.hidden.map(layerFigure));
  document.getElementById("layers").parentElement.hidden = !letter.hidden.length;
  document.getElementById("answers").replaceChildren(...letter.top.map(answerRow));
}

function layerFigure({ values }, i) {
  const nodes = new Int8Array(bytes(values).buffer);
  const columns = 2 ** Math.ceil(Math.log2(nodes.length) / 2);
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = Math.ceil(nodes.length / columns);
  canvas.style.width = `${canvas.width * NODE}px`;
  const [on, off, none] = ["--accent", "--quiet", "--paper"].map(rgb);
  paint(canvas, nodes, columns, (value) => {
    const strength = Math.sqrt(Math.abs(value) / 127);  // so that weak ones are seen too
    return none.map((from, c) => from + ((value > 0 ? on : off)[c] - from) * strength);
  });
  const responding = nodes.reduce((count, value) => count + (Math.abs(value) > FAINT * 127), 0);
  const caption = document.createElement("figcaption");
  const lines = [`${ORDER[i] ?? `${i + 1}th`} layer`, `${nodes.length} nodes,`, `${responding} respond`];
  caption.append(...lines.flatMap((line) => [Object.assign(document.createElement("span"), { textContent: line }), " "]));
  canvas.setAttribute("aria-hidden", "true");  // the caption says what can be said of it
  const figure = document.createElement("figure");
  figure.append(canvas, caption);
  return figure;
}

export function answerRow({ letter, probability }) {
  const row = document.createElement("li");
  const [name, bar, fill, share] = ["span", "span", "i", "span"].map((tag) => document.createElement(tag));
  name.textContent = letter;
  share.textContent = percent(probability);
  share.className = "share";
  bar.className = "bar";
  fill.style.width = `${100 * probability}%`;
  bar.append(fill);
  row.append(name, bar, share);
  return row;
}

export function paint(canvas, values, columns, colour) {
  const image = new ImageData(columns, Math.ceil(values.length / columns));
  values.forEach((value, i) => image.data.set([...colour(value), 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// A colour of the style sheet as three numbers.
export function rgb(name) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
