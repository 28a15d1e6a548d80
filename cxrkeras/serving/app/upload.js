// Sends a dropped or chosen file as bare bytes: its name never leaves the browser.
const { slot, limit } = props;
const input = element.querySelector("input");
const zone = element.querySelector(".cx-drop");
const status = element.querySelector(".cx-status");

async function ticketFor(file) {
  if (file.size > limit) return "too-large";
  try {
    const reply = await fetch("film", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    if (reply.ok) return await reply.text();
    return reply.status === 413 ? "too-large" : "failed";
  } catch {
    return "failed";
  }
}

function done() {
  zone.removeAttribute("aria-busy");
  status.textContent = "";
}

async function send(file) {
  if (!file || zone.hasAttribute("aria-busy")) return;
  zone.setAttribute("aria-busy", "true");
  status.textContent = "Reading the film…";
  const answer = document.getElementById(`cx-message-${slot}`);
  const watcher = new MutationObserver(() => { watcher.disconnect(); done(); });
  if (answer) watcher.observe(answer, { childList: true, subtree: true, characterData: true, attributes: true });
  const ticket = await ticketFor(file);
  input.value = "";
  if (ticket === "failed") {
    watcher.disconnect();
    done();
    status.textContent = "The film could not be sent: the page's server doesn't answer.";
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
