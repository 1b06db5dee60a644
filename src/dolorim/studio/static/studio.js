// What every page of the studio does by itself: theme, copying, and noticing that a job has ended.

if (location.search.includes("token=")) history.replaceState(null, "", location.pathname); // it has done its work

const root = document.documentElement;
const kept = localStorage.getItem("theme");
if (kept) root.dataset.theme = kept;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  button.textContent = "Copied";
});

// Parts of a page are drawn anew while one looks at them: what was opened stays open, and the focus where it was.
let opened = [];
let focused = null; // [what it posts to, the id around it, its kind]
document.body.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  opened = [...target.querySelectorAll("details[open][id]")].map((part) => part.id);
  const active = target.contains(document.activeElement) ? document.activeElement : null;
  focused = active && [active.getAttribute("hx-post"), active.parentElement.id, active.localName];
});
document.body.addEventListener("htmx:afterSwap", ({ detail: { target } }) => {
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  if (!focused) return;
  const [address, id, kind] = focused;
  const again = address ? target.querySelector(`[hx-post="${address}"]`) : document.getElementById(id)?.querySelector(kind);
  again?.focus({ preventScroll: true });
});

const jobs = document.getElementById("jobs");
let mark = null;
jobs.addEventListener("htmx:afterSwap", () => {
  const now = document.getElementById("jobs-mark").dataset.mark;
  if (mark !== null && now !== mark) document.body.dispatchEvent(new Event("job-ended"));
  mark = now;
});

// A request that goes well takes away the complaint about the one before.
document.body.addEventListener("htmx:afterRequest", (event) => {
  const { verb } = event.detail.requestConfig;
  if (event.detail.successful && verb !== "get") document.getElementById("alert").replaceChildren();
});
document.body.addEventListener("htmx:sendError", () => {
  const line = document.createElement("p");
  line.className = "bad";
  line.textContent = "The studio does not answer. Start it again with dolorim studio; jobs go on meanwhile.";
  document.getElementById("alert").replaceChildren(line);
});
