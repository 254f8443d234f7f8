// The page: what is on the paper is sent to be read, and what comes back is shown.

import { Board } from "./board.js";
import { offerCamera } from "./camera.js";
import { percent, showInside } from "./inside.js";
import { Teaching } from "./teach.js";

const PAUSE = 80;  // ms between a change and its reading
const SETTLED = 700;  // ms without a change, after which a screen reader is told
const MAX_BYTES = 10_000_000;
const UNSURE = 0.6;
const LONG = 24;  // letters, from which on they are shown smaller

const [text, nothing, inside, spoken, trouble, undo, clear, copy, form] =
  ["text", "nothing", "inside", "spoken", "trouble", "undo", "clear", "copy", "form"].map((id) => document.getElementById(id));

let reading = { text: "", letters: [] };
let selected = -1;
let chosen = false;  // the selected letter is the person's choice, not ours
let edition = 0;  // of the paper; an answer to a cleared or replaced one comes too late
let waiting = false, asking = false, pausing = 0, settling = 0;

const board = new Board(document.getElementById("board"), document.getElementById("paper"), document.getElementById("pen"), {
  changed() {
    undo.disabled = board.pristine;
    clear.disabled = board.blank;
    chosen = false;
    if (board.content.picture || board.blank) {
      edition += 1;
      show({ text: "", letters: [] }, "");
    }
    text.ariaBusy = "true";
    // not put off by further changes: the letters appear while one writes
    pausing ||= setTimeout(() => { pausing = 0; ask(); }, PAUSE);
  },
  picked: (i) => select(i, true),
});

const offers = fetch("health").then((response) => response.json()).catch(() => ({}));
offers.then(({ train }) => { document.getElementById("pages").hidden = !train; });
const teaching = new Teaching({ offers, letter: () => reading.letters[selected], reread: ask });

// One request at a time; of what changes meanwhile only the newest is sent.
async function ask() {
  waiting = true;
  text.ariaBusy = "true";
  if (asking) return;
  asking = true;
  while (waiting) {
    waiting = false;
    const asked = edition;
    const [answer, sentence] = board.blank ? [{ text: "", letters: [] }, ""] : await read(await board.image());
    if (asked === edition && !(sentence && board.stroke)) show(answer, sentence);  // half a letter is no mistake
  }
  asking = false;
  text.ariaBusy = String(pausing > 0);
}

// A reading, and, where there is none, why.
async function read(image) {
  const none = { text: "", letters: [] };
  if (image.size > MAX_BYTES) return [none, "The picture is larger than 10 MB: make it smaller."];
  let response, content;
  try {
    response = await fetch(`predict?form=${form.value}&top=5&inside=1`, { method: "POST", body: image });
    content = await response.json();
  } catch {
    return [none, "The server does not answer: is lettergpu serve still running?"];
  }
  if (!response.ok) return [none, asSentence(content.error)];
  return [content, content.warning && asSentence(content.warning)];
}

function asSentence(error) {
  return `${error[0].toUpperCase()}${error.slice(1)}${error.endsWith(".") ? "" : "."}`;
}

function show(answer, sentence) {
  reading = answer;
  trouble.textContent = sentence;
  const focused = text.contains(document.activeElement);
  const letters = reading.letters.values();
  let i = 0;
  text.replaceChildren(...reading.text.split("\n").filter(Boolean).map((line) => {
    const row = element("div", "line");
    row.append(...line.split(" ").filter(Boolean).map((word) => {
      const span = element("span", "word");
      span.append(...[...word].map(() => letterButton(letters.next().value, i++)));
      return span;
    }));
    return row;
  }));
  text.classList.toggle("long", reading.letters.length > LONG);
  text.style.setProperty("--longest", Math.max(...reading.text.split(/\s/).map((word) => word.length), 1));
  nothing.hidden = reading.letters.length > 0;
  copy.hidden = !reading.letters.length || !navigator.clipboard;
  if (!chosen || selected >= reading.letters.length) selected = board.content.picture ? 0 : nearestTo(board.nib);
  select(selected, chosen, focused);
  clearTimeout(settling);
  settling = setTimeout(() => {
    spoken.textContent = reading.text ? `It reads: ${reading.text}` : "";
  }, SETTLED);
}

function letterButton(letter, i) {
  const button = element("button", letter.top[0].probability < UNSURE ? "unsure" : "");
  const likely = letter.top[0];
  button.type = "button";
  button.textContent = likely.letter;
  button.title = percent(likely.probability);
  button.setAttribute("role", "radio");
  button.setAttribute("aria-label", `${likely.letter}, ${percent(likely.probability)}`);
  button.addEventListener("click", () => select(i, true));
  return button;
}

// Of the letters on the paper the one that the pen is at, or else the last.
function nearestTo(point) {
  const distances = reading.letters.map(({ box: [l, t, r, b] }) =>
    point ? Math.hypot(Math.max(l - point[0], 0, point[0] - r), Math.max(t - point[1], 0, point[1] - b)) : 0);
  return distances.lastIndexOf(Math.min(...distances));
}

function select(i, byPerson, focus = text.contains(document.activeElement)) {
  selected = Math.min(i, reading.letters.length - 1);
  chosen = byPerson && selected >= 0;
  const buttons = text.querySelectorAll("button");
  buttons.forEach((button, at) => {
    button.setAttribute("aria-checked", String(at === selected));
    button.tabIndex = at === selected ? 0 : -1;
  });
  if (focus) buttons[selected]?.focus();
  inside.hidden = selected < 0;
  if (selected >= 0) showInside(reading.letters[selected]);
  teaching.choose();
  board.mark(reading.letters.map((letter) => letter.box), selected);
}

function element(tag, className) {
  return Object.assign(document.createElement(tag), { className });
}

text.addEventListener("keydown", (event) => {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const count = reading.letters.length;
  const to = { Home: 0, End: count - 1 }[event.key] ?? (event.key in steps ? (selected + steps[event.key] + count) % count : -1);
  if (to < 0) return;
  event.preventDefault();
  select(to, true);
});

undo.addEventListener("click", () => board.undo());
clear.addEventListener("click", () => board.clear());
form.addEventListener("change", ask);
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(reading.text);
  copy.textContent = "Copied";
  setTimeout(() => { copy.textContent = "Copy"; }, 1500);
});
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  event.preventDefault();
  board.undo();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => select(selected, chosen));

// pictures
const file = document.getElementById("file");
const frame = document.getElementById("board");
const given = (list) => [...list ?? []].find((each) => each instanceof File);

document.getElementById("choose").addEventListener("click", () => file.click());
file.addEventListener("change", () => {
  if (file.files.length) board.show(file.files[0]);
  file.value = "";  // so that the same one can be chosen again
});
document.addEventListener("paste", (event) => {
  const picture = given(event.clipboardData?.files);
  if (picture) board.show(picture);
  else trouble.textContent = "There is no picture to paste: copy one first.";
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  frame.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) frame.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  frame.classList.remove("over");
  const picture = given(event.dataTransfer?.files);
  if (picture) board.show(picture);
  else trouble.textContent = "What was dropped is no picture: drop an image file.";
});
offerCamera(document.getElementById("camera"), {
  taken: (picture) => board.show(picture),
  failed: (sentence) => { trouble.textContent = sentence; },
});
