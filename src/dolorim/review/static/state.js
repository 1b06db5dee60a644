// What is on the page, and who wants to know when it changes.

export { UNSURE, UNTOUCHED } from "./tracks.js";

export const state = {
  study: null, // from /api/study
  rec: null, // the opened recording: see open() in main.js
  frame: 0,
  playing: false,
  speed: 1,
  loop: false,
  follow: false,
  points: true,
  whole: false, // of a rack: the whole picture and not only the chamber
  raters: false, // show what other raters have labeled
  startStop: false, // a class key opens a bout and the same key ends it: see openbout.js
  selection: null, // {start, stop, label, kind}: see hands.js
  mark: null, // {at, side: "start" | "stop"}: a stretch of which one end has been marked
  open: null, // {at, label}: the bout that a key has opened
  queue: false, // going from piece to piece of the queue
  dragging: null, // what the mouse has hold of on the timeline: "edge", "bout" or "scrub"
  paint: null, // {label, from, saved, stroke} while painting during playback
  view: { first: 0, last: 1 }, // frames that the timeline shows
  filter: { label: null, sure: 1 },
};

const listeners = new Map();

export function on(names, f) {
  for (const name of names.split(" ")) {
    if (!listeners.has(name)) listeners.set(name, []);
    listeners.get(name).push(f);
  }
}

export function emit(name, value) {
  for (const f of listeners.get(name) ?? []) f(value);
}

export const $ = (id) => document.getElementById(id);

export function clamp(x, low, high) {
  return Math.max(low, Math.min(high, x));
}

// A new element: make("li", {class: "x", title: "y"}, child, "text").
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}
