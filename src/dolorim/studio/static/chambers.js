// Chambers drawn over a frame. The table of corners is the truth; the picture shows it, and dragging writes into it.

const CORNERS = ["x0", "y0", "x1", "y1"];
const SMALLEST = 8; // pixels of the video; less is a click
let picture = null;
let drawn = null; // the corners while the pointer is down

const at = (id) => document.getElementById(id);
const rows = () => [...document.querySelectorAll("#chambers-table tbody tr")];
const boxOf = (row) => CORNERS.map((name) => Number(row.querySelector(`[name=${name}]`).value));

function addRow(name, box) {
  const row = at("chambers-table").tBodies[0].insertRow();
  const field = (key, value, label) => {
    const input = document.createElement("input");
    Object.assign(input, { name: key, value, ariaLabel: label });
    row.insertCell().append(input);
  };
  field("chamber", name, "Name");
  CORNERS.forEach((corner, i) => field(corner, box[i], corner));
  const remove = Object.assign(document.createElement("button"), { type: "button", className: "remove", textContent: "Remove" });
  row.insertCell().append(remove);
}

function nextName() {
  const taken = new Set(rows().map((row) => row.querySelector("[name=chamber]").value));
  let number = 1;
  while (taken.has(`A${number}`)) number += 1;
  return `A${number}`;
}

function draw() {
  const canvas = at("chambers-canvas");
  if (!canvas || !picture) return;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const unit = canvas.width / (canvas.clientWidth || canvas.width);
  context.lineWidth = 2 * unit;
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  const show = ([x0, y0, x1, y1], name) => {
    context.strokeStyle = "#ffd166";
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.fillStyle = "#ffd166";
    context.fillText(name, x0 + 5 * unit, y0 + 16 * unit);
  };
  for (const row of rows()) show(boxOf(row), row.querySelector("[name=chamber]").value);
  if (drawn) show(drawn, "");
}

async function load() {
  const canvas = at("chambers-canvas");
  if (!canvas || !at("drawing").open || !Number(canvas.dataset.width)) return;
  if (canvas.dataset.loaded) return draw();
  canvas.dataset.loaded = "yes";
  canvas.width = Number(canvas.dataset.width);
  canvas.height = Number(canvas.dataset.height);
  const answer = await fetch(`/study/frame?video=${encodeURIComponent(canvas.dataset.video)}`);
  if (!answer.ok) return complain(await answer.text());
  picture = await createImageBitmap(await answer.blob());
  canvas.dataset.shown = "yes";
  draw();
}

const complain = (text) => { at("chambers-alert").textContent = text; };

async function propose(layout) {
  const video = at("chambers-canvas").dataset.video;
  complain("");
  at("drawing").open = true;
  const answer = await fetch(`/study/proposal?video=${encodeURIComponent(video)}&layout=${encodeURIComponent(layout)}`, { headers: { "HX-Request": "true" } });
  if (!answer.ok) {
    const part = new DOMParser().parseFromString(await answer.text(), "text/html");
    return complain(part.body.textContent.trim());
  }
  rows().forEach((row) => row.remove());
  for (const [name, ...box] of await answer.json()) addRow(name, box);
  draw();
}

function pointOf(event) {
  const canvas = at("chambers-canvas");
  const box = canvas.getBoundingClientRect();
  const within = (value, most) => Math.round(Math.min(Math.max(value, 0), most));
  return [
    within(((event.clientX - box.x) / box.width) * canvas.width, canvas.width),
    within(((event.clientY - box.y) / box.height) * canvas.height, canvas.height),
  ];
}

document.addEventListener("pointerdown", (event) => {
  if (event.target.id !== "chambers-canvas" || event.button) return;
  event.target.setPointerCapture(event.pointerId);
  drawn = [...pointOf(event), ...pointOf(event)];
});
document.addEventListener("pointermove", (event) => {
  if (!drawn) return;
  drawn = [drawn[0], drawn[1], ...pointOf(event)];
  draw();
});
document.addEventListener("pointerup", () => {
  if (!drawn) return;
  const [x, y, u, v] = drawn;
  drawn = null;
  const box = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
  if (box[2] - box[0] >= SMALLEST && box[3] - box[1] >= SMALLEST) addRow(nextName(), box);
  draw();
});
document.addEventListener("click", (event) => {
  const { id, classList } = event.target;
  if (id === "lay-grid") propose(at("grid").value);
  if (id === "propose") propose("auto");
  if (id === "clear-chambers") rows().forEach((row) => row.remove());
  if (classList?.contains("remove")) event.target.closest("tr").remove();
  draw();
});
document.addEventListener("input", (event) => { if (event.target.closest("#chambers-table")) draw(); });
document.addEventListener("toggle", (event) => { if (event.target.id === "drawing") load(); }, true);
document.body.addEventListener("htmx:afterSettle", load);
load();
