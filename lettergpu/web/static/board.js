// The paper: strokes or a picture, with a box around each letter that was found on it.

const WIDTH = 900, HEIGHT = 600;  // what strokes are measured in, however large the paper is shown
const SENT = 2 / 3;  // of that, in pixels: enough for the network's 28
const MAX_SHOWN = 1600;  // pixels of a picture's long side that are kept to show it

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Board {
  // changed(): there is something else to read. picked(i): the letter in box i was pointed at.
  constructor(frame, canvas, pen, { changed, picked }) {
    Object.assign(this, { frame, canvas, pen, changed, picked });
    this.content = { strokes: [], picture: null };
    this.earlier = [];
    this.boxes = [];
    this.selected = -1;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#up(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  get blank() { return !this.content.picture && !this.content.strokes.length; }
  get pristine() { return this.blank && !this.earlier.length; }

  // Where the pen was last, in pixels of what `image` sends.
  get nib() {
    const point = this.content.strokes.at(-1)?.points.at(-1);
    return point && [point[0] * SENT, point[1] * SENT];
  }

  async show(file) {
    const picture = { file, bitmap: null, width: WIDTH, height: HEIGHT };
    try {
      const whole = await createImageBitmap(file);
      [picture.width, picture.height] = [whole.width, whole.height];
      const scale = Math.min(1, MAX_SHOWN / Math.max(whole.width, whole.height));
      picture.bitmap = canvasOf(Math.ceil(whole.width * scale), Math.ceil(whole.height * scale));
      picture.bitmap.getContext("2d").drawImage(whole, 0, 0, picture.bitmap.width, picture.bitmap.height);
      whole.close();
    } catch {
      // the server reads formats that a browser does not show, and says better what is wrong with the others
    }
    this.#become({ strokes: [], picture });
  }

  clear() { if (!this.blank) this.#become({ strokes: [], picture: null }); }

  undo() {
    if (!this.earlier.length) return;
    this.content = this.earlier.pop();
    this.#changed();
  }

  // What is to be read: the picture's own file, or the strokes in black on white whatever colours are shown.
  image() {
    const { picture, strokes } = this.content;
    if (picture) return Promise.resolve(picture.file);
    const canvas = canvasOf(WIDTH * SENT, HEIGHT * SENT);
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.scale(SENT, SENT);
    drawStrokes(context, strokes, "#000");
    return new Promise((resolve) => canvas.toBlob(resolve));
  }

  mark(boxes, selected) {
    Object.assign(this, { boxes, selected });
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.frameRequest);
    this.frameRequest = requestAnimationFrame(() => this.#draw());
  }

  #become(content) {
    this.earlier.push(this.content);
    this.content = content;
    this.#changed();
  }

  #changed() {
    const { picture, strokes } = this.content;
    this.frame.dataset.state = picture ? "picture" : strokes.length ? "drawing" : "blank";
    this.frame.style.aspectRatio = picture ? Math.min(2.4, Math.max(0.8, picture.width / picture.height)) : "";
    this.mark([], -1);
    this.changed();
  }

  // From what is sent to CSS pixels of the paper: scale, left, top.
  #fit() {
    const { picture } = this.content;
    const [width, height] = picture ? [picture.width, picture.height] : [WIDTH * SENT, HEIGHT * SENT];
    const scale = Math.min(this.canvas.clientWidth / width, this.canvas.clientHeight / height);
    return [scale, (this.canvas.clientWidth - width * scale) / 2, (this.canvas.clientHeight - height * scale) / 2];
  }

  #draw() {
    const { canvas, content } = this;
    const density = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth * density, canvas.clientHeight * density].map(Math.round);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const [scale, left, top] = this.#fit();
    if (content.picture?.bitmap) {
      context.drawImage(content.picture.bitmap, left, top, content.picture.width * scale, content.picture.height * scale);
    }
    context.save();
    context.translate(left, top);
    context.scale(scale * SENT, scale * SENT);
    drawStrokes(context, content.strokes, style("--ink"));
    context.restore();
    this.boxes.forEach((box, i) => {
      const chosen = i === this.selected;
      const [x0, y0, x1, y1] = box.map((edge, side) => edge * scale + (side % 2 ? top : left) + (side < 2 ? -4 : 4));
      context.strokeStyle = style(chosen ? "--accent" : "--quiet");
      context.lineWidth = chosen ? 2.5 : 1;
      context.setLineDash(chosen ? [] : [4, 4]);
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    });
  }

  // Where an event happened, in pixels of what is sent.
  #at(event) {
    const corner = this.canvas.getBoundingClientRect();
    const [scale, left, top] = this.#fit();
    return [(event.clientX - corner.left - left) / scale, (event.clientY - corner.top - top) / scale];
  }

  #point(event) {
    const [x, y] = this.#at(event);
    const pressed = event.pointerType === "pen" && event.pressure ? 0.4 + 1.2 * event.pressure : 1;
    return [x / SENT, y / SENT, pressed * Number(this.pen.value)];
  }

  #down(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    if (this.content.picture) {
      const [x, y] = this.#at(event);
      const found = this.boxes.findIndex(([l, t, r, b]) => l <= x && x <= r && t <= y && y <= b);
      if (found >= 0) this.picked(found);
      return;
    }
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.stroke = { points: [this.#point(event)] };
    this.earlier.push(this.content);
    this.content = { strokes: [...this.content.strokes, this.stroke], picture: null };
    this.#drawn();
  }

  #move(event) {
    if (!this.stroke || !event.isPrimary) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.stroke.points.push(this.#point(each));
    this.#drawn();
  }

  #up(event) {
    if (!this.stroke || !event.isPrimary) return;
    this.stroke = null;
    this.#drawn();
  }

  #drawn() {
    this.frame.dataset.state = "drawing";
    this.draw();
    this.changed();
  }
}

export function canvasOf(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

// Curves through the middles between points, so that fast hands draw no corners.
function drawStrokes(context, strokes, colour) {
  Object.assign(context, { strokeStyle: colour, lineCap: "round", lineJoin: "round" });
  for (const { points } of strokes) {
    context.beginPath();
    context.moveTo(points[0][0], points[0][1]);
    points.forEach(([x, y, width], i) => {
      const [nextX, nextY, nextWidth] = points[i + 1] ?? points[i];
      context.lineWidth = width;
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
      if (nextWidth !== width) {  // a path has one width, and edges are smooth only within a path
        context.stroke();
        context.beginPath();
        context.moveTo((x + nextX) / 2, (y + nextY) / 2);
      }
    });
    context.stroke();
  }
}
