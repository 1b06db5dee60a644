// Which key means which class: a chosen one, else its number. Names of keys are those of
// keyboard.js. Nothing here knows the page.

const NUMBERED = 18; // 1 to 9, then Shift and 1 to 9

// The name of each class's key; null where it has none.
export function keysOf(classes, chosen = {}) {
  return classes.map(({ name }, i) => chosen[name] ?? (i < NUMBERED ? `class ${i}` : null));
}

// How a key is shown: 3, ⇧3, k, ⇧L.
export function shownKey(name) {
  if (!name) return "";
  const number = /^class (\d+)$/.exec(name);
  if (!number) return name.replace("Shift+", "⇧");
  const i = Number(number[1]);
  return i < 9 ? String(i + 1) : `⇧${i - 8}`;
}

// Why a class cannot have a key; null where it can. `bound` tells what else the page's keys do.
export function refusal(key, label, classes, chosen, bound) {
  const shown = shownKey(key);
  if (/^(Ctrl|Escape|Tab)/.test(key)) return `${shown} belongs to the browser; choose another key.`;
  if (bound.has(key)) return `${shown} is taken (${bound.get(key)}); choose another key.`;
  const other = keysOf(classes, chosen).findIndex((name, i) => name === key && i !== label);
  if (other >= 0)
    return `${shown} means ${classes[other].name}; give that class another key first.`;
  return null;
}
