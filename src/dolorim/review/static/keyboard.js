// Which key it was, on any keyboard: what it writes (`event.key`) counts, and where it lies
// (`event.code`) only where that says nothing. Nothing here knows the page.

const DIGIT = /^(?:Digit|Numpad)([1-9])$/;
const LETTER = /^\p{L}$/u;
const LATIN = /^\p{Script=Latin}$/u;
const BRACKETS = { BracketLeft: "[", BracketRight: "]" };

// Greek, Cyrillic and others write no letter that is bound here: the key at the same place counts.
function written({ key, code, shiftKey }) {
  if (!LETTER.test(key) || LATIN.test(key)) return key;
  const letter = /^Key([A-Z])$/.exec(code ?? "")?.[1];
  return BRACKETS[code] ?? (shiftKey ? letter : letter?.toLowerCase()) ?? key;
}

// The name of what was pressed: "[", "Shift+R", "ArrowLeft", "Ctrl+z", "class 3" (counted from 0);
// null for nothing. `bound` has the names that something is bound to.
export function nameOf(event, bound) {
  if (event.isComposing || !event.key) return null;
  const { code = "", shiftKey, altKey } = event;
  const key = written(event);
  // Windows reports AltGr as Ctrl and Alt.
  const altGr = Boolean(event.getModifierState?.("AltGraph")) || (event.ctrlKey && altKey);
  if (!altGr && (event.ctrlKey || event.metaKey)) {
    return altKey ? null : `Ctrl+${shiftKey ? "Shift+" : ""}${key.toLowerCase()}`;
  }
  if (altGr || altKey) {
    // brackets and the like lie there on German, French and Mac keyboards; letters are menus
    const sign = key.length === 1 && !/[\p{L}\p{N}\s]/u.test(key);
    return sign && bound.has(key) ? key : null;
  }
  if (/^[1-9]$/.test(key)) return `class ${Number(key) - 1}`;
  const place = Number(DIGIT.exec(code)?.[1] ?? 0);
  // On French and Czech keyboards the row of digits writes signs without Shift, - and + among them.
  const row = place && !shiftKey && code.startsWith("Digit") && "+-".includes(key);
  const letter = /^[a-z]$/i.test(key); // caps lock must not matter
  const plain = letter ? key[shiftKey ? "toUpperCase" : "toLowerCase"]() : key;
  const name = shiftKey && (letter || key.length > 1) ? `Shift+${plain}` : plain;
  if (bound.has(name) && !row) return name;
  if (place && key.length === 1) return `class ${place - 1 + (shiftKey ? 9 : 0)}`;
  return null;
}
