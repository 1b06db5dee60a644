// Talking to the server.

export class ApiError extends Error {
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

// Recordings go by number. The server refuses a page that was loaded when the numbers meant others.
let study = null;
export const knowStudy = (key) => {
  study = key;
};
const headersOf = (headers = {}) => (study ? { ...headers, "X-Study": study } : headers);

async function ask(path, options = {}) {
  let answer;
  try {
    const headers = headersOf(options.headers);
    answer = await fetch(path, { credentials: "same-origin", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the server does not answer; is dolorim review still running?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    /* a plain sentence */
  }
  throw new ApiError(answer.status, body?.error ?? text.trim().split("\n")[0], body);
}

export const get = async (path) => (await ask(path)).json();

export const post = async (path, body) =>
  (
    await ask(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    })
  ).json();

// Sent even if the page is gone by then; nobody hears the answer. Browsers take no more than 64 KB
// in this way.
export function send(path, body) {
  const headers = headersOf({ "Content-Type": "application/json" });
  const options = {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    credentials: "same-origin",
    keepalive: true,
  };
  fetch(path, options).catch(() => {});
}

// Frames as [{index, time, x, y, jpeg}], and the side of the window that follows the animal.
export async function frames(id, first, count, step, follow) {
  const answer = await ask(
    `/api/recording/${id}/frames?first=${first}&count=${count}&step=${step}${follow ? "&follow=1" : ""}`,
  );
  const buffer = await answer.arrayBuffer();
  const view = new DataView(buffer);
  const found = [];
  for (let at = 0; at < buffer.byteLength;) {
    const bytes = view.getUint32(at + 4, true);
    found.push({
      index: view.getUint32(at, true),
      time: view.getFloat32(at + 8, true),
      x: view.getFloat32(at + 12, true),
      y: view.getFloat32(at + 16, true),
      jpeg: new Uint8Array(buffer, at + 20, bytes),
    });
    at += 20 + bytes;
  }
  return { found, side: Number(answer.headers.get("X-Side")) || null };
}

export const bitmapOf = (frame) =>
  createImageBitmap(new Blob([frame.jpeg], { type: "image/jpeg" }));

// A tile of the timeline: columns of `channels` bytes.
export async function tile(id, step, index) {
  const answer = await ask(`/api/recording/${id}/tile?step=${step}&index=${index}`);
  const flag = (name) => answer.headers.get(name) === "1";
  return {
    data: new Uint8Array(await answer.arrayBuffer()),
    channels: Number(answer.headers.get("X-Channels")),
    probabilities: flag("X-Probabilities"),
    motion: flag("X-Motion"),
  };
}

const floats = async (path) => new Float32Array(await (await ask(path)).arrayBuffer());
export const points = (id, first, count) =>
  floats(`/api/recording/${id}/points?first=${first}&count=${count}`);
export const times = (id) => floats(`/api/recording/${id}/times`);
