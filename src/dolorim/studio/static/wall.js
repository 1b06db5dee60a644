// The wall: bouts as looping clips; arrows move, one key accepts, rejects or relabels.

const UNSURE = -2;
const list = document.getElementById("bouts");
const classSelect = document.getElementById("wall-class");
const orderSelect = document.getElementById("wall-order");
const wall = { bouts: [], classes: [], at: 0, done: [], request: 0 };

async function fetchBouts(like) {
  // Clips that are still on their way would keep the answer waiting.
  for (const clip of list.querySelectorAll("img")) clip.removeAttribute("src");
  const query = new URLSearchParams({ label: classSelect.value, order: orderSelect.value });
  if (like) query.set("like", [like.item, like.start, like.stop].join(","));
  // The newest request counts, whichever is answered last; until then, no key judges a bout.
  const request = ++wall.request;
  list.setAttribute("aria-busy", "true");
  const answer = await fetch(`/wall/bouts?${query}`, { headers: { "hx-request": "true" } });
  const text = await answer.text();
  if (request !== wall.request) return;
  list.setAttribute("aria-busy", "false");
  if (!answer.ok) return complain(text);
  const { bouts, classes, colors } = JSON.parse(text);
  Object.assign(wall, { bouts, classes, colors, at: 0 });
  draw();
}

function complain(text) {
  const line = document.createElement("p");
  line.className = "bad";
  line.textContent = new DOMParser().parseFromString(text, "text/html").body.textContent.trim();
  document.getElementById("alert").replaceChildren(line);
}

function draw() {
  list.replaceChildren(...wall.bouts.map(tile));
  const buttons = wall.classes.slice(0, 9).map((name, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(name, " ", Object.assign(document.createElement("kbd"), { textContent: number + 1 }));
    button.addEventListener("click", () => mark(number));
    return button;
  });
  document.getElementById("wall-classes").replaceChildren(...buttons);
  select(0);
}

function tile(bout, number) {
  const item = document.createElement("li");
  item.id = `bout-${number}`;
  item.setAttribute("role", "option");
  // Clips are made when they come near the screen, so that hundreds of them cost nothing at first.
  const clip = document.createElement("img");
  clip.loading = "lazy";
  clip.decoding = "async";
  clip.width = clip.height = 112;
  clip.src = `/wall/clip/${bout.item}/${bout.start}/${bout.stop}`;
  clip.alt = `${wall.classes[bout.label]}, ${bout.length_s} s`;
  const about = document.createElement("span");
  about.textContent = `${bout.animal} ${time(bout.at_s)}, ${bout.length_s} s`;
  const label = document.createElement("span");
  label.className = "quiet";
  label.textContent = `${wall.classes[bout.label]} ${bout.probability.toFixed(2)}`;
  const verdict = document.createElement("b");
  item.append(clip, about, label, verdict);
  item.addEventListener("click", () => select(number));
  show(item, bout);
  return item;
}

function show(item, bout) {
  item.dataset.verdict = bout.verdict;
  item.querySelector("b").textContent = bout.isSaving ? `${bout.verdict} …` : bout.verdict;
}

function time(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function select(number) {
  if (!wall.bouts.length) return count();
  wall.at = Math.max(0, Math.min(number, wall.bouts.length - 1));
  for (const old of list.querySelectorAll("[aria-selected]")) old.removeAttribute("aria-selected");
  const item = list.children[wall.at];
  item.setAttribute("aria-selected", "true");
  list.setAttribute("aria-activedescendant", item.id);
  item.scrollIntoView({ block: "nearest" });
  count();
}

function count() {
  const checked = wall.bouts.filter((bout) => bout.verdict).length;
  document.getElementById("wall-count").textContent = `${checked} of ${wall.bouts.length} checked`;
}

function columns() {
  const [first, ...others] = list.children;
  const next = others.findIndex((other) => other.offsetTop > first.offsetTop);
  return next < 0 ? list.children.length : next + 1;
}

// Requests go one after the other, so that undo takes back what was done last. What waits when the
// page is left is sent once more: the server knows by its id what it has already.
let sending = Promise.resolve();
const waiting = new Set();

function post({ address, body }, keepalive = false) {
  return fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json", "hx-request": "true" },
    body: JSON.stringify(body),
    keepalive,
  });
}

function send(address, body) {
  const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const request = { address, body: { ...body, id } };
  waiting.add(request);
  sending = sending.catch(() => null).then(async () => {
    const answer = await post(request).finally(() => waiting.delete(request));
    if (answer.ok) return answer.json();
    complain(await answer.text());
    throw new Error(`refused: ${answer.status}`);
  });
  return sending;
}

addEventListener("pagehide", () => {
  for (const request of waiting) post(request, true).catch(() => null);
});

async function mark(code) {
  const number = wall.at, bout = wall.bouts[number];
  if (!bout) return;
  const before = bout.verdict, item = list.children[number];
  bout.verdict = code === UNSURE ? "rejected" : code === bout.label ? "accepted" : wall.classes[code];
  bout.isSaving = true;
  show(item, bout);
  select(number + 1);
  try {
    const { version } = await send("/wall/mark", { item: bout.item, start: bout.start, stop: bout.stop, mark: code });
    wall.done.push({ bout, before, version });
  } catch {
    bout.verdict = before;
    count();
  }
  bout.isSaving = false;
  show(item, bout);
}

async function undo() {
  await sending.catch(() => null);
  const last = wall.done.pop();
  if (!last) return;
  try {
    const { version } = await send("/wall/undo", { item: last.bout.item, version: last.version });
    // Undo is a step, too: the step before it in the same recording now ends at a later version.
    const previous = wall.done.findLast((one) => one.bout.item === last.bout.item);
    if (previous) previous.version = version;
    last.bout.verdict = last.before;
    const number = wall.bouts.indexOf(last.bout);
    if (number >= 0) {
      show(list.children[number], last.bout);
      select(number);
    }
  } catch {
    wall.done.length = 0; // it says why; what was done before stays
  }
}

const actions = {
  accept: () => wall.bouts.length && mark(wall.bouts[wall.at].label),
  reject: () => mark(UNSURE),
  undo,
  like: () => wall.bouts.length && fetchBouts(wall.bouts[wall.at]),
};
const keys = { a: actions.accept, Enter: actions.accept, x: actions.reject, u: undo, m: actions.like };

if (list) {
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());
  classSelect.addEventListener("change", () => fetchBouts());
  orderSelect.addEventListener("change", () => fetchBouts());
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, textarea, select") || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
    if (event.ctrlKey && event.key !== "z") return;
    if (list.getAttribute("aria-busy") === "true") return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
    const digit = Number(event.key);
    if (event.key in steps) select(wall.at + steps[event.key]);
    else if (event.ctrlKey) undo();
    else if (digit >= 1 && digit <= wall.classes.length) mark(digit - 1);
    else if (event.key in keys) keys[event.key]();
    else return;
    event.preventDefault();
  });
  fetchBouts();
}
