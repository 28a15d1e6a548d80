// The page's films, answers and keys.
const find = (query) => element.querySelector(query);
const work = find(".cx-work");
const colours = Uint8Array.from(work.dataset.colours.match(/../g), (pair) => parseInt(pair, 16));
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const status = find(".cx-status");
const refused = find(".cx-refused");
const [pick, beside] = [find("#cx-film"), find("#cx-beside")];
const both = find("#cx-both");
const help = find(".cx-help");
const films = new Map(); // by number: {number, name, rows, columns, notes, grey, view, maps}
const chosen = { film: null, beside: null, label: null, opacity: 50, drag: "window" };
let key = "";
let turn = 0; // of what is to be shown: what was asked for before it is dropped

const places = [...element.querySelectorAll(".cx-film")].map((figure, place) => ({
  figure,
  canvas: new Canvas(figure.querySelector("canvas"), (change) => alter(change, place), colours),
}));
const shown = () => [chosen.film, chosen.beside].map((number) => films.get(number)).filter(Boolean);

function tell(text) {
  refused.replaceChildren(...[].concat(text).map((line) => Object.assign(document.createElement("p"), { textContent: line })));
}

async function ask(path, options) {
  const reply = await fetch(`desk/${key}/${path}`, options);
  if (!reply.ok) throw new Error(reply.status === 404 ? await reply.text() : "The page's server can't answer. Try again.");
  return reply;
}

async function guarded(doing) {
  try {
    await doing();
  } catch (error) {
    tell(error instanceof TypeError ? "The page's server doesn't answer." : error.message);
  }
}

// How films are shown.

function alter(change, place = 0) {
  const alike = both.checked ? shown() : shown().slice(place, place + 1);
  const paints = ["level", "width", "inverted"].some((name) => name in change);
  for (const film of alike) Object.assign(film.view, change);
  for (const { canvas } of places) paints ? canvas.paint() : canvas.draw();
  describe();
}

function describe() {
  const [film] = shown();
  if (!film) return;
  for (const [place, one] of shown().entries()) {
    const { level, width, inverted, zoom } = one.view;
    const over = places[place].canvas.map ? ` Heat map of ${labelName()} over it.` : "";
    places[place].canvas.canvas.setAttribute("aria-label", `${one.name}, window level ${Math.round(level)} %, width ${Math.round(width)} %${inverted ? ", inverted" : ""}, zoom ${zoom.toFixed(1)}.${over} ${work.dataset.warning}.`);
  }
  const values = { "cx-level": film.view.level, "cx-width": film.view.width, "cx-opacity": chosen.opacity };
  for (const [id, value] of Object.entries(values)) {
    for (const input of element.querySelectorAll(`#${id}, [data-for=${id}]`)) if (input !== document.activeElement || input.type === "range") input.value = Math.round(value);
  }
  find("[data-do=invert]").setAttribute("aria-pressed", film.view.inverted);
  for (const name of ["window", "move"]) find(`[data-do=${name}]`).setAttribute("aria-pressed", chosen.drag === name);
}

const choices = () => [...element.querySelectorAll("[name=cx-label]")];
const labelName = () => choices().find((one) => one.value === chosen.label)?.parentElement.textContent.trim() ?? "";

async function greyOf(film) {
  if (!film.grey) film.grey = new Uint16Array(await (await ask(`grey/${film.number}`)).arrayBuffer());
}

async function mapOf(film) {
  if (!chosen.label) return null;
  const label = chosen.label;
  if (!film.maps[label]) {
    const told = await (await ask(`map/${film.number}/${label}`)).json();
    film.maps[label] = { told: told.told, share: bytes(told.share), lines: bytes(told.lines) };
  }
  return film.maps[label];
}

// Lays the chosen films and the chosen label's maps on their places.
const lay = () => guarded(async () => {
  const mine = (turn += 1);
  const wanted = shown();
  for (const { figure } of places) figure.setAttribute("aria-busy", "true");
  const maps = await Promise.all(wanted.map(async (film) => { await greyOf(film); return mapOf(film); })).finally(() => {
    if (mine === turn) for (const { figure } of places) figure.removeAttribute("aria-busy");
  });
  if (mine !== turn) return;
  for (const [place, { figure, canvas }] of places.entries()) {
    const film = wanted[place];
    figure.hidden = !film;
    if (!film) continue;
    const caption = figure.querySelector("figcaption");
    caption.innerHTML = maps[place]?.told ?? "";
    caption.prepend(Object.assign(document.createElement("b"), { textContent: film.name }));
    figure.querySelector("div").innerHTML = film.notes;
    canvas.show(film, maps[place], chosen.opacity / 100);
  }
  describe();
});

const answer = () => guarded(async () => {
  const [first, second] = shown();
  const html = await (await ask(`answers/${first.number}${second ? `/${second.number}` : ""}`)).text();
  if (shown()[0] !== first || shown()[1] !== second) return;
  const held = document.activeElement?.name === "cx-label";
  find(".cx-answers").innerHTML = html;
  for (const one of choices()) one.checked = one.value === (chosen.label ?? "");
  if (held) choices().find((one) => one.checked)?.focus();
});

function choose(film, other = chosen.beside) {
  chosen.film = film;
  chosen.beside = other === film ? null : other;
  const option = (one) => new Option(one.name, one.number);
  pick.replaceChildren(...[...films.values()].map(option));
  beside.replaceChildren(new Option("none", ""), ...[...films.values()].filter((one) => one.number !== film).map(option));
  [pick.value, beside.value] = [film, chosen.beside ?? ""];
  both.parentElement.hidden = !chosen.beside;
  work.classList.toggle("cx-two", Boolean(chosen.beside));
  lay();
  return answer();
}

function label(value) {
  chosen.label = value || null;
  for (const one of choices()) one.checked = one.value === value;
  lay();
}

function step(by) {
  const numbers = [...films.keys()];
  const next = numbers[numbers.indexOf(chosen.film) + by];
  if (next !== undefined) choose(next, chosen.beside === next ? chosen.film : chosen.beside);
}

function stepLabel(by) {
  const all = choices();
  const at = all.findIndex((one) => one.value === (chosen.label ?? ""));
  const next = all[within(at + by, 0, all.length - 1)];
  if (!next) return;
  if (document.activeElement?.name === "cx-label") next.focus();
  next.scrollIntoView({ block: "nearest" });
  label(next.value);
}

let last = ""; // the label before the map was put away
function toggleMap() {
  const before = chosen.label;
  label(before ? "" : last || choices()[1]?.value || "");
  last = before ?? last;
}

function toggleBeside() {
  const numbers = [...films.keys()];
  const at = numbers.indexOf(chosen.film);
  choose(chosen.film, chosen.beside ? null : numbers[at - 1] ?? numbers[at + 1] ?? null);
}

// Films that come and go.

function keep(list) {
  for (const number of [...films.keys()]) if (!list.some((one) => one.number === number)) films.delete(number);
  for (const one of list) if (!films.has(one.number)) films.set(one.number, { ...one, grey: null, view: { ...FULL }, maps: {} });
  const any = films.size > 0;
  work.classList.toggle("cx-empty", !any);
  for (const part of [find(".cx-opened"), find(".cx-side")]) part.hidden = !any;
  document.querySelector(".cx-about")?.toggleAttribute("open", !any);
  for (const { figure, canvas } of places) if (!any) { figure.hidden = true; canvas.film = null; }
}

function forget() {
  Object.assign(chosen, { film: null, beside: null });
  keep([]);
}

let busy = false;
async function take(files) {
  if (!files.length) return;
  if (busy) {
    tell("Films are still being read. Send these afterwards.");
    return;
  }
  busy = true;
  find(".cx-drop").setAttribute("aria-busy", "true");
  tell([]);
  await guarded(() => readAll(files));
  find(".cx-drop").removeAttribute("aria-busy");
  busy = false;
}

async function readAll(files) {
  const wanted = ordered(files);
  const reasons = new Map();
  let [read, first] = [0, null];
  for (const [at, file] of wanted.entries()) {
    const of = wanted.length > 1 ? ` ${at + 1} of ${wanted.length}` : "";
    status.textContent = `Reading film${of}…`;
    const said = await sent(file, () => { status.textContent = `Many films are being read; this one waits for its turn…`; });
    if (said.key && said.key !== key) {
      forget(); // else a new film 1 would be taken for the film 1 of a desk that is gone
      key = said.key;
    }
    if (said.bad) reasons.set(said.told, (reasons.get(said.told) ?? 0) + 1);
    else { read += 1; first ??= said.film; status.textContent = said.told; }
  }
  if (read !== 1 || wanted.length > 1) status.textContent = wanted.length > 1 ? `${read} of ${wanted.length} files have been read.` : "";
  tell([...reasons].map(([told, count]) => (count > 1 ? `${count} files: ${told}` : told)));
  if (read) await guarded(async () => { keep(await (await ask("films")).json()); await choose(first); });
}

const close = () => guarded(async () => {
  const gone = chosen.film;
  const left = [...films.keys()].filter((number) => number !== gone);
  keep(await (await ask(`close/${gone}`, { method: "POST" })).json());
  status.textContent = `Film ${gone} is closed.`;
  if (left.length) choose(left.find((number) => number > gone) ?? left.at(-1));
  else { Object.assign(chosen, { film: null, beside: null }); find("#cx-file").focus(); }
});

const save = (kind) => guarded(async () => {
  const said = find(".cx-saved");
  said.textContent = "The file is being made…";
  const body = {
    films: shown().map(({ number, view }) => ({ film: number, level: view.level, width: view.width, inverted: view.inverted })),
    label: chosen.label ? Number(chosen.label) : null,
    opacity: chosen.opacity,
    words: find("#cx-words").value.trim(),
  };
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    const url = URL.createObjectURL(await (await ask(`cxrkeras.${kind}`, options)).blob());
    Object.assign(document.createElement("a"), { href: url, download: `cxrkeras.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    said.textContent = "Saved.";
  } catch (error) {
    said.textContent = "";
    throw error;
  }
});

// Tools and keys.

const view = () => shown()[0].view;
const shift = (name, by, low, high) => () => alter({ [name]: within(view()[name] + by, low, high) });
const move = (across, down) => () => places[0].canvas.pan(across, down);
const drag = (how) => () => {
  chosen.drag = how;
  for (const { canvas } of places) canvas.drag = how;
  describe();
};
const fit = () => alter({ zoom: 1, x: 0, y: 0 });
const doing = {
  previous: () => step(-1),
  next: () => step(1),
  close,
  in: () => places[0].canvas.zoom(1.25),
  out: () => places[0].canvas.zoom(0.8),
  fit,
  invert: () => alter({ inverted: !view().inverted }),
  reset: () => alter(FULL),
  window: drag("window"),
  move: drag("move"),
  help: () => help.showModal(),
  shut: () => help.close(),
};
const KEYS = [
  ["ArrowUp", "↑", "Label before", () => stepLabel(-1)],
  ["ArrowDown", "↓", "Next label", () => stepLabel(1)],
  ["ArrowLeft", "←", "Film before", doing.previous],
  ["ArrowRight", "→", "Next film", doing.next],
  ["b", "b", "A film beside, or none", toggleBeside],
  ["m", "m", "Heat map on or off", toggleMap],
  ["+", "+", "Zoom in", doing.in],
  ["-", "−", "Zoom out", doing.out],
  ["Shift+ArrowLeft", "Shift ←", "Move the film left", move(-40, 0)],
  ["Shift+ArrowRight", "Shift →", "Move it right", move(40, 0)],
  ["Shift+ArrowUp", "Shift ↑", "Move it up", move(0, -40)],
  ["Shift+ArrowDown", "Shift ↓", "Move it down", move(0, 40)],
  ["0", "0", "Fit the film to its place", fit],
  ["[", "[", "Narrower window: more contrast", shift("width", -5, 1, 200)],
  ["]", "]", "Wider window: less contrast", shift("width", 5, 1, 200)],
  [",", ",", "Lower level: brighter", shift("level", -2, 0, 100)],
  [".", ".", "Higher level: darker", shift("level", 2, 0, 100)],
  ["i", "i", "Invert", doing.invert],
  ["r", "r", "Reset window, zoom and place", doing.reset],
  ["d", "d", "Dragging: window or film", () => doing[chosen.drag === "window" ? "move" : "window"]()],
  ["x", "x", "Close the film", close],
  ["o", "o", "Open films", () => find("#cx-file").click()],
  ["?", "?", "These keys", doing.help],
];
find(".cx-help dl").innerHTML = KEYS.map(([, sign, told]) => `<div><dt><kbd>${sign}</kbd></dt><dd>${told}</dd></div>`).join("");

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const types = target.matches?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=file])");
  if (!element.isConnected || types || help.open || !find("#cx-keys").checked || event.ctrlKey || event.altKey || event.metaKey) return;
  const pressed = event.key.length > 1 && event.shiftKey ? `Shift+${event.key}` : event.key === "=" ? "+" : event.key.length > 1 ? event.key : event.key.toLowerCase();
  const found = KEYS.find(([name]) => name === pressed);
  if (!found || (!films.size && !["o", "?"].includes(pressed))) return;
  event.preventDefault();
  found[3]();
});
work.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-do], [data-save]");
  if (button?.dataset.do) doing[button.dataset.do]();
  if (button?.dataset.save) save(button.dataset.save);
});
work.addEventListener("input", (event) => {
  const { target } = event;
  if (target.name === "cx-label") label(target.value);
  const id = target.dataset.for ?? target.id;
  const value = Number(target.value);
  if (target.value === "" || !Number.isFinite(value)) return;
  if (id === "cx-level") alter({ level: within(value, 0, 100) });
  if (id === "cx-width") alter({ width: within(value, 1, 200) });
  if (id === "cx-opacity") {
    chosen.opacity = within(value, 0, 100);
    for (const { canvas } of places) { canvas.opacity = chosen.opacity / 100; canvas.paint(); }
    describe();
  }
});
work.addEventListener("focusout", describe);
pick.addEventListener("change", () => { const film = Number(pick.value); choose(film, chosen.beside === film ? chosen.film : chosen.beside); });
beside.addEventListener("change", () => choose(chosen.film, Number(beside.value) || null));
find(".cx-save").addEventListener("submit", (event) => event.preventDefault());
for (const input of element.querySelectorAll("[type=file]")) {
  input.addEventListener("change", async () => {
    const files = [...input.files];
    await take(files);
    input.value = "";
  });
}
for (const name of ["dragenter", "dragover"]) {
  work.addEventListener(name, (event) => { event.preventDefault(); work.classList.add("cx-over"); });
}
for (const name of ["dragleave", "drop"]) {
  work.addEventListener(name, (event) => { event.preventDefault(); work.classList.remove("cx-over"); });
}
work.addEventListener("drop", (event) => guarded(async () => take(await dropped(event.dataTransfer.items))));
describe();
