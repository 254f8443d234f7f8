// The page that trains: what is chosen is sent, and what the network becomes is shown, epoch by epoch.

import { Board } from "./board.js";
import { drawConfusion, drawCurves, drawWeights, mistakeRow } from "./figures.js";
import { answerRow } from "./inside.js";

const [settings, preset, about, fields, start, stop, goon, pace, stage, before, progress, told, spoken, legend, insides] =
  ["settings", "preset", "about", "fields", "start", "stop", "goon", "pace", "stage", "before", "progress", "told", "spoken",
    "legend", "insides"].map((id) => document.getElementById(id));
const by = (id) => document.getElementById(id);
const GONE = "The server does not answer: is lettergpu serve still running?";
const SETTLED = 600;  // ms without a change, after which another letter is read
const SPOKEN = 4000;  // ms between words to a screen reader
const KEPT = 6;  // runs that can be compared with
const LIKELIEST = 5;
const NUMBERS = ["learning_rate", "momentum", "batch_size", "epochs", "count"];
const SELECTS = ["activation", "init", "loss", "data", "augment"];
const WORDS = {
  leaky_relu: "leaky ReLU", relu: "ReLU", swish: "Swish", mish: "Mish", tanhexp: "TanhExp", he: "He", xavier: "Xavier",
  report: "the report's", zeros: "all zero", none: "not at all", rotate: "turned", affine: "turned, slanted",
  elastic: "turned, bent", uniform: "uniform", identity: "none", sigmoid: "sigmoid",
};

// What one may want to see beside each other. start: the report's first network, which is no setting.
const PRESETS = {
  "Ours, small": [{}, ""],
  "ReLU": [{ activation: "relu" }, "The same with max(0, z). Compare the curves."],
  "Swish": [{ activation: "swish" }, "z times the sigmoid of z: smooth, and a little below zero."],
  "Plain: no normalisation, no momentum": [{ batch_norm: false, momentum: 0, learning_rate: 0.1 },
    "Gradient descent as in the first lesson: it learns, slowly."],
  "The same with momentum": [{ batch_norm: false, momentum: 0.9, learning_rate: 0.1 },
    "Each step keeps nine tenths of the last one."],
  "No hidden layer": [{ hidden: [] }, "A perceptron: one weight a pixel and letter, whose pictures are blurred letters."],
  "All weights zero": [{ init: "zeros", batch_norm: false },
    "No node differs from another, so none ever will: it learns how often each letter comes, and nothing else."],
  "Steps too large": [{ learning_rate: 30, batch_norm: false, augment: "none" },
    "The first steps throw the weights so far away that every letter gets the same answer."],
  "Steps too large, no activation": [{ learning_rate: 30, batch_norm: false, augment: "none", activation: "identity" },
    "Nothing holds the numbers back: they grow until one is none (NaN)."],
  "The report's first try: all weights equal": [{ start: "Naive_equal" }, "Thirty steps with weights of 0.005."],
  "The report's first try: large weights": [{ start: "Naive_large" },
    "Thirty steps. The softmax as its formula stands: infinity over infinity."],
  "The softmax made stable": [{ start: "Stable_large" }, "With the largest logit subtracted it is a number again, but a huge one."],
  "Stable, weights as He draws them": [{ start: "Stable_he" }, "The same thirty steps now learn."],
};

let choices = null;
let runs = [];  // the newest last
let running = null;  // what aborts it
let current = null;  // the promise of its end
let spokenAt = 0, settling = 0;

const board = new Board(by("board"), by("paper"), by("pen"), {
  changed() {
    by("clear").disabled = board.blank;
    clearTimeout(settling);
    settling = setTimeout(again, SETTLED);
  },
  picked() {},
});
by("clear").addEventListener("click", () => board.clear());

async function begin() {
  try {
    choices = await fetch("training").then((response) => response.json());
  } catch {
    return tell(GONE, true);
  }
  const offered = choices.choices;
  for (const id of SELECTS) {
    const options = Array.isArray(offered[id]) ? offered[id].map((name) => [name, WORDS[name] ?? name]) : Object.entries(offered[id]);
    by(id).replaceChildren(...options.map(([name, words]) => new Option(words, name)));
  }
  preset.replaceChildren(...Object.keys(PRESETS).map((name) => new Option(name, name)));
  pace.value = String(choices.defaults.pace);
  fill();
  draw();
}

// The form, as the preset says.
function fill() {
  const [changed, words] = PRESETS[preset.value];
  const values = { ...choices.defaults, ...changed };
  by("hidden").value = values.hidden.join(", ");
  for (const id of [...NUMBERS, ...SELECTS]) by(id).value = values[id];
  by("batch_norm").checked = values.batch_norm;
  about.textContent = words;
  for (const each of settings.querySelectorAll("fieldset")) each.disabled = Boolean(values.start);
}

function chosen() {
  const { start: naive } = PRESETS[preset.value][0];
  if (naive) return { start: naive };
  const values = { batch_norm: by("batch_norm").checked, hidden: by("hidden").value.split(",").map((each) => each.trim()).filter(Boolean).map(Number) };
  for (const id of NUMBERS) values[id] = Number(by(id).value);
  for (const id of SELECTS) values[id] = by(id).value;
  return values;
}

// What sets a run apart, in words.
function nameOf(values) {
  if (values.start) return choices.choices.start[values.start];
  const words = [];
  for (const [id, value] of Object.entries(values)) {
    if (String(value) === String(choices.defaults[id])) continue;
    const label = by(id).closest("label").firstChild.textContent.trim() || by(id).closest("label").textContent.trim();
    const shown = typeof value === "boolean" ? (value ? "on" : "off") : SELECTS.includes(id) ? (WORDS[value] ?? value) : String(value).replaceAll(",", "-") || "none";
    words.push(`${label.toLowerCase()} ${shown}`);
  }
  return words.join(", ") || "as it comes";
}

// The drawn letter as the network gets it, base64; empty where there is none.
async function ownLetter() {
  if (board.blank) return "";
  const response = await fetch("predict?form=single&top=1&inside=1", { method: "POST", body: await board.image() });
  return response.ok ? (await response.json()).letters[0]?.normal ?? "" : "";
}

function begun(asked, run) {
  current = train(asked, run);
}

function goOn() {
  begun({ resume: runs.at(-1).id, pace: Number(pace.value) }, runs.at(-1));
}

// Another letter was drawn meanwhile: it goes on with that one, from the same epoch.
async function again() {
  if (!running || board.stroke || !runs.at(-1)?.id) return;
  running.abort();
  await current;
  goOn();
}

async function train(asked, run) {
  const control = new AbortController();
  running = control;
  working(true);
  tell("");
  let ended = null;
  try {
    const body = JSON.stringify({ ...asked, letter: await ownLetter() });
    const response = await fetch("training", { method: "POST", body, signal: control.signal });
    if (!response.ok) throw new Error(sentence((await response.json()).error));
    stage.textContent = "It begins …";
    stage.scrollIntoView({ block: "nearest" });  // on a phone it is below the form
    for await (const [kind, content] of events(response)) {
      if (kind === "began") {
        Object.assign(run, { id: content.name, classes: content.classes, total: content.epochs, description: content });
        if (!runs.includes(run)) keep(run);
      } else if (kind === "batch") {
        progress.value = (run.epochs.length + content.share) / run.total;
      } else if (kind === "epoch") {
        run.epochs = [...run.epochs.filter((each) => each.epoch < content.epoch), content];
        show(run);
      } else {
        ended = content;
      }
    }
    if (ended) {
      tell(sentence(ended.sentence), Boolean(ended.diverged));
      run.finished = !ended.stopped;
    } else {
      tell(GONE, true);
    }
  } catch (error) {
    if (error.name !== "AbortError") tell(error instanceof TypeError ? GONE : error.message, true);
    else if (run.id) tell(`Stopped after ${run.epochs.length} of ${run.total} epochs.`);
  }
  if (running === control) running = null;
  working(false, run);
}

// The events of a response, as they come: [kind, content].
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const each of whole) {
      const [, kind, data] = each.match(/^event: (.*)\ndata: (.*)$/s);
      yield [kind, JSON.parse(data)];
    }
  }
}

function keep(run) {
  runs = [...runs, run].slice(-KEPT);
  const earlier = runs.slice(0, -1);
  before.replaceChildren(new Option("nothing", ""), ...earlier.map((each) => new Option(each.name, each.id)));
  before.value = earlier.at(-1)?.id ?? "";
}

function working(now, run = null) {
  start.disabled = now;
  stop.disabled = !now;
  goon.disabled = now || !run?.id || run.finished;
}

function show(run) {
  const epoch = run.epochs.at(-1);
  const share = Number.isFinite(epoch.val_accuracy) ? `${(100 * epoch.val_accuracy).toFixed(1)} % of ${run.description.held.toLocaleString("en")} letters kept aside are read right` : "its answers are no numbers (NaN)";
  const unit = run.asked.start ? "Step" : "Epoch";
  stage.textContent = `${unit} ${epoch.epoch} of ${run.total}: ${share}`;
  progress.value = epoch.epoch / run.total;
  if (Date.now() - spokenAt > SPOKEN) {
    spokenAt = Date.now();
    spoken.textContent = stage.textContent;
  }
  draw();
}

// All figures, of the newest run and the one beside it.
function draw() {
  const run = runs.at(-1);
  const other = runs.find((each) => each !== run && each.id === before.value);
  const lines = [other && { ...other, className: "before" }, run && { ...run, className: "now" }].filter(Boolean);
  drawCurves(by("accuracy"), lines, ["train_accuracy", "val_accuracy"], {
    highest: 1, tick: () => 0.25, title: "Letters read right",
    write: (value, exact) => `${(100 * value).toFixed(exact ? 1 : 0)} %`,
  });
  drawCurves(by("loss-chart"), lines, ["train_loss", "val_loss"], {
    tick: (top) => [0.1, 0.2, 0.5, 1].find((each) => top / each <= 6) ?? 2, title: "Loss",
    write: (value, exact) => exact ? value.toFixed(2) : String(Number(value.toFixed(1))),
  });
  legend.hidden = !run;
  legend.replaceChildren(...[...lines].reverse().map((each) => item(each.name, each.className)), item("dashed: letters it learns from; solid: letters kept aside", "dashed"));
  const epoch = run?.epochs.at(-1);
  insides.hidden = !epoch;
  if (!epoch) return;
  drawWeights(by("weights"), epoch.weights);
  by("confusion-figure").hidden = by("mistaken").hidden = Boolean(epoch.broken);
  if (!epoch.broken) {
    drawConfusion(by("confusion"), epoch.confusion, run.classes);
    by("mistakes").replaceChildren(...epoch.mistakes.map((each) => mistakeRow(each, run.classes)));
  }
  showReads(run);
}

function showReads(run) {
  const read = run.epochs.filter((epoch) => epoch.letter);
  by("reads").hidden = !read.length;
  if (!read.length) return;
  const likeliest = ({ letter }) => letter.map((probability, i) => ({ letter: run.classes[i], probability })).sort((a, b) => b.probability - a.probability);
  by("guesses").replaceChildren(...read.map((epoch) => {
    const [{ letter, probability }] = likeliest(epoch);
    const guess = item(letter, "");
    guess.style.opacity = 0.35 + 0.65 * probability;
    guess.title = `Epoch ${epoch.epoch}: ${Math.round(100 * probability)} %`;
    return guess;
  }));
  by("answers").replaceChildren(...likeliest(read.at(-1)).slice(0, LIKELIEST).map(answerRow));
}

function item(text, className) {
  return Object.assign(document.createElement("li"), { textContent: text, className });
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}${words.endsWith(".") ? "" : "."}`;
}

function tell(words, wrong = false) {
  told.textContent = words;
  told.classList.toggle("trouble", wrong);
}

preset.addEventListener("change", fill);
before.addEventListener("change", draw);
settings.addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = { ...chosen(), pace: Number(pace.value) };
  const { pace: _, ...named } = asked;
  begun(asked, { name: nameOf(named), asked, epochs: [], total: 1 });
});
stop.addEventListener("click", () => running?.abort());
goon.addEventListener("click", goOn);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
begin();
