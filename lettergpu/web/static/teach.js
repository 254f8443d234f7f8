// Teaching: what a letter is, a list of what was taught, and learning all of it.

const [form, field, section, untaught, list, learn, download, told] =
  ["teach", "is", "taught", "untaught", "lessons", "learn", "download", "told"].map((id) => document.getElementById(id));
const GONE = "The server does not answer: is lettergpu serve still running?";

// Where the server can be taught, as `offers` will say. letter(): the chosen one. reread(): what is on the paper is to be
// read again.
export class Teaching {
  constructor({ offers, letter, reread }) {
    Object.assign(this, { letter, reread, offered: false, busy: false, learnt: true });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#teach();
    });
    learn.addEventListener("click", () => this.#learn());
    addEventListener("focus", () => { if (this.offered && !this.busy) this.#list(); });  // another tab may have taught
    offers.then(({ teach }) => this.#begin(Boolean(teach)));
  }

  // Another letter is chosen, or none, or the same one read again: what is being typed is meant for it.
  choose() {
    form.hidden = !this.offered || !this.letter();
    if (document.activeElement !== field) field.value = "";
  }

  #begin(offered) {
    this.offered = offered;
    section.hidden = !this.offered;
    if (!this.offered) return;
    this.choose();
    this.#list();
  }

  async #list() {
    const table = await this.#ask("taught");
    if (table) this.#show(table);
  }

  async #teach() {
    const name = field.value.trim();
    const body = Uint8Array.from(atob(this.letter().normal), (character) => character.charCodeAt(0));
    const table = await this.#ask(`taught?letter=${encodeURIComponent(name)}`, { method: "POST", body });
    if (!table) return;
    this.#show(table);
    field.value = "";
    this.#tell(`Taught: this is ${name.toUpperCase()}. Learn when you have taught all that you want.`);
  }

  async #takeBack(name) {
    const learnt = this.learnt;
    const table = await this.#ask(`taught?name=${encodeURIComponent(name)}`, { method: "DELETE" });
    if (!table) return this.#list();
    this.#show(table);
    (list.querySelector("button") ?? learn).focus();
    this.#tell("Taken back.");
    if (learnt) await this.#learn();
  }

  async #learn() {
    this.#tell("Learning …");
    this.busy = learn.disabled = true;
    section.setAttribute("aria-busy", "true");
    const table = await this.#ask("learn", { method: "POST" });
    section.removeAttribute("aria-busy");
    this.busy = false;
    if (!table) {
      learn.disabled = this.learnt;
      return;
    }
    this.#show(table);
    const share = (number) => `${(100 * number).toFixed(1)} %`;
    this.#tell(table.letters.length
      ? `Learnt in ${table.seconds.toFixed(1)} s. Of the built-in test letters it reads ${share(table.after)}, untaught ${share(table.before)}.`
      : "It reads as it did before it was taught.");
    this.reread();
  }

  // The answer, or null, which is then told.
  async #ask(path, options) {
    try {
      const response = await fetch(path, options);
      const content = await response.json();
      if (response.ok) return content;
      this.#tell(`${content.error[0].toUpperCase()}${content.error.slice(1)}.`, true);
    } catch {
      this.#tell(GONE, true);
    }
    return null;
  }

  #tell(sentence, wrong = false) {
    told.textContent = sentence;
    told.classList.toggle("trouble", wrong);
  }

  #show({ letters, learnt }) {
    this.learnt = learnt;
    untaught.hidden = letters.length > 0;
    download.hidden = !letters.length;
    learn.disabled = learnt || this.busy;
    list.replaceChildren(...letters.map((each) => this.#item(each)));
  }

  #item({ name, letter, image }) {
    const item = document.createElement("li");
    const [canvas, label, back] = ["canvas", "span", "button"].map((tag) => item.appendChild(document.createElement(tag)));
    Object.assign(canvas, { width: 28, height: 28 });
    canvas.setAttribute("aria-hidden", "true");
    const pixels = new ImageData(28, 28);
    [...atob(image)].forEach((character, i) => pixels.data.set([...Array(3).fill(character.charCodeAt(0)), 255], 4 * i));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    label.textContent = letter;
    Object.assign(back, { type: "button", textContent: "×", title: "Take back" });
    back.setAttribute("aria-label", `Take back ${letter}, ${name}`);
    back.addEventListener("click", () => this.#takeBack(name));
    return item;
  }
}
