// Labels as arrays of one number a frame, and bouts in them. Nothing here knows the page.

export const UNTOUCHED = -1;
export const UNSURE = -2;

export function fromRuns(runs, n, gap = -1) {
  const labels = new Int16Array(n).fill(gap);
  for (const [start, stop, label] of runs ?? []) labels.fill(label, start, stop);
  return labels;
}

// [[start, stop, label], ...] of everything but the gaps.
export function toRuns(labels, gap = null, first = 0, last = labels.length) {
  const runs = [];
  for (let i = first; i < last;) {
    let j = i + 1;
    while (j < last && labels[j] === labels[i]) j++;
    if (labels[i] !== gap) runs.push([i, j, labels[i]]);
    i = j;
  }
  return runs;
}

// What holds for each frame: the correction where there is one, else the prediction, else the label
// from before. `below` is what shines through where nothing was corrected.
export function refresh(rec) {
  const base = rec.predicted ?? rec.truth;
  rec.effective = Int16Array.from(rec.marks);
  rec.below = new Int16Array(rec.marks.length).fill(UNTOUCHED);
  if (base) {
    for (let i = 0; i < base.length; i++)
      if (rec.marks[i] === UNTOUCHED) rec.effective[i] = rec.below[i] = base[i];
  }
  rec.runs = toRuns(rec.effective, -1);
  rec.touched = toRuns(
    rec.marks.map((v) => (v === UNTOUCHED ? UNTOUCHED : 0)),
    UNTOUCHED,
  );
}

export function runAt(labels, i) {
  let start = i,
    stop = i + 1;
  while (start > 0 && labels[start - 1] === labels[i]) start--;
  while (stop < labels.length && labels[stop] === labels[i]) stop++;
  return { start, stop, label: labels[i] };
}

export function fill(labels, ranges) {
  for (const [start, stop, label] of ranges) labels.fill(label, start, stop);
}

// A name that nothing else has. (crypto.randomUUID exists only on this very machine, not over
// --host.)
export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (v) => v.toString(36)).join("");

// Index of the last element that is not larger than x in an ascending array.
export function floorIndex(sorted, x) {
  let low = 0,
    high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle] <= x) low = middle;
    else high = middle - 1;
  }
  return low;
}
