// Sends a dropped or chosen file as bare bytes: its name never leaves the browser.
const { slot, limit } = props;
const input = element.querySelector("input");
const zone = element.querySelector(".cx-drop");
const status = element.querySelector(".cx-status");

const seconds = (count) => new Promise((go) => setTimeout(go, 1000 * count));

async function ticketFor(file) {
  if (file.size > limit) return "too-large";
  try {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const reply = await fetch("film", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
      if (reply.ok) return await reply.text();
      if (reply.status !== 503) return reply.status === 413 ? "too-large" : "failed";
      status.textContent = "Many films are being read; this one waits for its turn…";
      await seconds(Number(reply.headers.get("Retry-After")) || 5);
    }
    return "busy";
  } catch {
    return "failed";
  }
}

const refusals = {
  failed: "The film could not be sent: the page's server doesn't answer.",
  busy: "Too many films are being read. Send this one again in some minutes.",
};

let leave = () => {};

// Films of one page go one after the other: answers that cross would leave a table of one film.
async function turn() {
  const before = window.cxSending;
  window.cxSending = new Promise((go) => { leave = go; });
  await Promise.race([before, seconds(60)]);
}

function done() {
  zone.removeAttribute("aria-busy");
  status.textContent = "";
  leave();
}

async function send(file) {
  if (!file || zone.hasAttribute("aria-busy")) return;
  zone.setAttribute("aria-busy", "true");
  status.textContent = "Reading the film…";
  await turn();
  const answer = document.getElementById(`cx-message-${slot}`);
  const watcher = new MutationObserver(() => { watcher.disconnect(); done(); });
  if (answer) watcher.observe(answer, { childList: true, subtree: true, characterData: true, attributes: true });
  const ticket = await ticketFor(file);
  input.value = "";
  if (ticket in refusals) {
    watcher.disconnect();
    done();
    status.textContent = refusals[ticket];
    return;
  }
  trigger("upload", { slot, ticket });
}

input.addEventListener("change", () => send(input.files[0]));
for (const name of ["dragenter", "dragover"]) {
  zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("cx-over"); });
}
for (const name of ["dragleave", "drop"]) {
  zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.remove("cx-over"); });
}
zone.addEventListener("drop", (event) => send(event.dataTransfer.files[0]));
