// One canvas with a film on it: window, inversion, a map's colours, zoom and place.
const FULL = { level: 50, width: 100, inverted: false, zoom: 1, x: 0, y: 0 };
const DEEPEST = 16;
const within = (value, low, high) => Math.min(Math.max(value, low), high);

// What 16-bit grey shows as, 0 to 255: DICOM's LINEAR_EXACT, (x - c) / w + 0.5, clipped.
function shades({ level, width, inverted }) {
  const table = new Uint8ClampedArray(65536);
  for (let grey = 0; grey < 65536; grey += 1) {
    const share = within((grey - level * 655.35) / (width * 655.35) + 0.5, 0, 1);
    table[grey] = inverted ? 255 - Math.round(255 * share) : Math.round(255 * share);
  }
  return table;
}

// The pixels to be seen. `map`: {share, lines}, as the server lays it over this film; or null.
function painted(film, view, map, opacity, colours) {
  const table = shades(view);
  const image = new ImageData(film.columns, film.rows);
  const out = new Uint32Array(image.data.buffer); // little-endian: alpha, blue, green, red
  for (let at = 0; at < out.length; at += 1) {
    const grey = table[film.grey[at]];
    const share = map ? (opacity * map.share[at]) / 255 : 0;
    if (map && map.lines[at]) {
      out[at] = map.lines[at] === 1 ? 0xffffffff : 0xff000000;
    } else if (share) {
      const [red, green, blue] = [0, 1, 2].map((channel) => Math.round((1 - share) * grey + share * colours[3 * map.share[at] + channel]));
      out[at] = 0xff000000 | (blue << 16) | (green << 8) | red;
    } else {
      out[at] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
  }
  return image;
}

const paper = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

class Canvas {
  // `changed(change)` is asked whenever a hand changes how the film is shown.
  constructor(canvas, changed, colours) {
    Object.assign(this, { canvas, changed, colours, film: null, map: null, opacity: 0.5, drag: "window" });
    this.papers = []; // the painted film, and halves of it: fine lines would break up in one step
    this.pointers = new Map();
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
  }

  show(film, map, opacity) {
    Object.assign(this, { film, map, opacity });
    this.paint();
  }

  paint() {
    if (!this.film) return;
    this.stale = true;
    this.draw();
  }

  draw() {
    if (this.waits) return;
    this.waits = requestAnimationFrame(() => {
      this.waits = 0;
      this.drawNow();
    });
  }

  drawNow() {
    const { canvas, film } = this;
    if (!film || !canvas.clientWidth || !canvas.clientHeight) return; // drawn once it is in sight
    if (this.stale) {
      this.papers = [paper(film.columns, film.rows)];
      this.papers[0].getContext("2d").putImageData(painted(film, film.view, this.map, this.opacity, this.colours), 0, 0);
      this.stale = false;
    }
    const dense = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [canvas.clientWidth * dense, canvas.clientHeight * dense].map(Math.round);
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const scale = this.scale() * dense;
    pen.imageSmoothingEnabled = scale < 4;
    pen.imageSmoothingQuality = "high";
    pen.setTransform(scale, 0, 0, scale, canvas.width / 2, canvas.height / 2);
    pen.drawImage(this.near(scale), film.view.x - film.columns / 2, film.view.y - film.rows / 2, film.columns, film.rows);
    // A film that is larger than its place is moved by a finger; else the finger moves the page.
    canvas.style.touchAction = film.view.zoom > 1 ? "none" : "pan-x pan-y";
  }

  // The film at less than twice the size that is to be drawn.
  near(scale) {
    let at = 0;
    for (let left = scale; left <= 0.5; left *= 2, at += 1) {
      const from = this.papers[at];
      if (this.papers[at + 1]) continue;
      const to = paper(Math.ceil(from.width / 2), Math.ceil(from.height / 2));
      to.getContext("2d").drawImage(from, 0, 0, to.width, to.height);
      this.papers.push(to);
    }
    return this.papers[at];
  }

  // Pixels of the page for one of the film.
  scale() {
    const fit = Math.min(this.canvas.clientWidth / this.film.columns, this.canvas.clientHeight / this.film.rows);
    return fit * this.film.view.zoom;
  }

  // Zoom so that what lies under a place of the canvas stays there.
  zoom(factor, left = this.canvas.clientWidth / 2, top = this.canvas.clientHeight / 2) {
    const { view } = this.film;
    const [across, down] = [left - this.canvas.clientWidth / 2, top - this.canvas.clientHeight / 2];
    const zoom = within(view.zoom * factor, 1, DEEPEST);
    const before = this.scale();
    const after = (before * zoom) / view.zoom;
    this.changed({ zoom, ...this.held(view.x + across / after - across / before, view.y + down / after - down / before, zoom) });
  }

  pan(across, down) {
    const { view } = this.film;
    const scale = this.scale();
    this.changed(this.held(view.x + across / scale, view.y + down / scale, view.zoom));
  }

  // Half of the film stays in sight.
  held(x, y, zoom) {
    if (zoom === 1) return { x: 0, y: 0 };
    return { x: within(x, -this.film.columns / 2, this.film.columns / 2), y: within(y, -this.film.rows / 2, this.film.rows / 2) };
  }

  wheel(event) {
    if (!this.film) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
  }

  down(event) {
    if (!this.film) return;
    this.pointers.set(event.pointerId, event);
    this.canvas.setPointerCapture(event.pointerId);
    if (event.button) event.preventDefault();
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before || !this.film) return;
    const [across, down] = [event.clientX - before.clientX, event.clientY - before.clientY];
    const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (other) {
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      const box = this.canvas.getBoundingClientRect();
      this.zoom(apart(event) / apart(before), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
      this.pan(across / 2, down / 2);
    } else if (this.drag === "move" || event.shiftKey || event.buttons > 1) {
      this.pan(across, down);
    } else if (event.pointerType !== "touch") {
      const { level, width } = this.film.view;
      this.changed({ level: within(level - down / 4, 0, 100), width: within(width + across / 4, 1, 200) });
    }
  }
}
