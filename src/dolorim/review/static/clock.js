// Times and frames in words, and back. Nothing here knows the page.

export function clockText(s, digits = 2) {
  const h = Math.floor(s / 3600),
    m = Math.floor((s % 3600) / 60);
  const rest = (s % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return h ? `${h}:${String(m).padStart(2, "0")}:${rest}` : `${m}:${rest}`;
}

const SAID = "expected a frame (268) or a time (0:40, 1:02:03.5, 40 s)";

// What somebody has typed: {frame}, {time_s}, or {say} where it is neither.
export function readPlace(text, nFrames) {
  const typed = text.trim();
  if (/^\d+$/.test(typed)) {
    const frame = Number(typed);
    if (frame < nFrames) return { frame };
    return { say: `There is no frame ${typed}: the last one is ${nFrames - 1}.` };
  }
  const seconds = /^(\d+(?:[.,]\d+)?)\s*s$/i.exec(typed);
  if (seconds) return { time_s: Number(seconds[1].replace(",", ".")) };
  const clock = /^(?:(\d+):)?(\d+):(\d{1,2}(?:[.,]\d+)?)$/.exec(typed);
  if (!clock) return { say: `"${typed}" is no place in a recording: ${SAID}.` };
  const [h, m, s] = [Number(clock[1] ?? 0), Number(clock[2]), Number(clock[3].replace(",", "."))];
  if (s >= 60 || (clock[1] && m >= 60)) return { say: `"${typed}" is no time: ${SAID}.` };
  return { time_s: 3600 * h + 60 * m + s };
}
