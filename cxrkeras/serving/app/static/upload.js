// Sends dropped or chosen files as bare bytes: their names never leave the browser.
const seconds = (count) => new Promise((go) => setTimeout(go, 1000 * count));
const PATIENCE = 360; // seconds; the server forgets a film that nobody read sooner
const refusals = {
  failed: "The film could not be sent: the page's server doesn't answer.",
  busy: "Too many films are being read. Send this one again in some minutes.",
};

async function ticketFor(file, waits) {
  if (file.size > props.limit) return "too-large";
  try {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const reply = await fetch("film", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
      if (reply.ok) return await reply.text();
      if (reply.status !== 503) return reply.status === 413 ? "too-large" : "failed";
      waits();
      await seconds(Number(reply.headers.get("Retry-After")) || 5);
    }
    return "busy";
  } catch {
    return "failed";
  }
}

// What the page says of one file: {told, key, film, bad}.
async function sent(file, waits) {
  const ticket = await ticketFor(file, waits);
  if (ticket in refusals) return { told: refusals[ticket], bad: true };
  const place = document.getElementById("cx-message");
  const number = () => place.querySelector("p")?.dataset.n;
  const before = number();
  return new Promise((go) => {
    const late = setTimeout(() => { watcher.disconnect(); go({ told: refusals.failed, bad: true }); }, 1000 * PATIENCE);
    const watcher = new MutationObserver(() => {
      if (number() === before) return;
      const line = place.querySelector("p");
      watcher.disconnect();
      clearTimeout(late);
      go({ told: line.textContent, key: line.dataset.key, film: Number(line.dataset.film), bad: line.classList.contains("cx-bad") });
    });
    watcher.observe(place, { childList: true, subtree: true, characterData: true, attributes: true });
    trigger("upload", { ticket });
  });
}

// The files of a drop, folders opened; read at once, for the browser forgets them afterwards.
async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
  const files = [];
  async function open(entry) {
    if (entry instanceof File) files.push(entry);
    else if (entry.isFile) files.push(await new Promise((go, stop) => entry.file(go, stop)));
    else {
      const reader = entry.createReader();
      for (let more = [null]; more.length;) {
        more = await new Promise((go, stop) => reader.readEntries(go, stop)); // a hundred at a time
        for (const one of more) await open(one);
      }
    }
  }
  for (const entry of entries) await open(entry);
  return files;
}

// In the order of their names, without what systems leave in folders.
function ordered(files) {
  const path = (file) => file.webkitRelativePath || file.name;
  const shown = files.filter((file) => !file.name.startsWith(".") && file.name !== "DICOMDIR");
  return shown.sort((one, other) => path(one).localeCompare(path(other), undefined, { numeric: true }));
}
