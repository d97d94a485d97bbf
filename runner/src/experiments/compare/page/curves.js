
// Several runs in one chart: the mean of each group with its band, or every run by itself.
const MOST_LINES = 12;
// Student's t for 95 % by degrees of freedom; normal beyond.
const T95 = [NaN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086,
  2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042];
const zipped = (curves, split, accuracy) => {
  const [places, losses, accuracies] = curves[split];
  return (accuracy ? accuracies : losses).map((y, i) => [places[i], y]);
};
const KINDS = {
  "held-out accuracy": { of: (c) => zipped(c, "held_out", true), percent: true },
  "training accuracy": { of: (c) => zipped(c, "train", true), percent: true },
  "held-out loss": { of: (c) => zipped(c, "held_out", false) },
  "training loss": { of: (c) => zipped(c, "train", false) },
  // It changes at pruning steps alone.
  sparsity: { of: (c) => (c.prunes.length ? [[0, 0], ...c.prunes.map((p) => [p[0], p[4]]), [c.end, c.prunes.at(-1)[4]]] : []), percent: true, steps: true },
};
const known = (points) => points.filter((p) => p[1] !== null && Number.isFinite(p[1]));

// A running mean that forgets: the weight of what was before, corrected for the beginning, as TensorBoard does.
function smoothed(points, weight) {
  let sum = 0, whole = 0;
  return weight ? points.map(([x, y]) => { sum = sum * weight + (1 - weight) * y; whole = whole * weight + 1 - weight; return [x, sum / whole]; }) : points;
}

// A curve's value at a place: between its points on a straight line, or what it was last.
function valueAt(points, at, steps) {
  if (!points.length || at < points[0][0] || at > points.at(-1)[0]) return NaN;
  let low = 0, high = points.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (points[middle][0] <= at) low = middle; else high = middle - 1; }
  const [x, y] = points[low], next = points[low + 1];
  return steps || x === at || !next ? y : y + ((next[1] - y) * (at - x)) / (next[0] - x);
}

// The same seed by seed, where a group holds several settings: these are no repetitions. Where seeds have not equally many, there is no band.
function meanOfSeeds(all, steps) {
  const seeds = new Map();
  all.forEach(([run, points]) => seeds.set(run.seed, [...(seeds.get(run.seed) ?? []), points]));
  const each = [...seeds.values()], even = each.every((one) => one.length === each[0].length);
  if (even && each[0].length > 1) return mean(each.map((one) => mean(one, steps)), steps);
  const found = mean(all.map(([, points]) => points), steps);
  return even ? found : found.map(([x, y]) => [x, y, 0]);
}

// The mean of several curves at all their places, where all of them are known: place, mean, half of the interval.
function mean(all, steps) {
  if (all.length === 1) return all[0].map(([x, y]) => [x, y, 0]);
  const of = (at, values) => {
    const n = values.length, m = values.reduce((a, b) => a + b) / n, spread = Math.sqrt(values.reduce((s, v) => s + (v - m) ** 2, 0) / (n - 1));
    return [at, m, ((T95[n - 1] ?? 1.96) * spread) / Math.sqrt(n)];
  };
  // Runs of one length were measured at the same places, before and after a pruning step twice at one.
  const [first, ...rest] = all;
  if (rest.every((points) => points.length === first.length && points.every((p, i) => p[0] === first[i][0]))) return first.map(([at], i) => of(at, all.map((points) => points[i][1])));
  const places = [...new Set(all.flat().map((p) => p[0]))].sort((a, b) => a - b);
  return places.map((at) => [at, all.map((points) => valueAt(points, at, steps))]).filter(([, values]) => values.every(Number.isFinite)).map(([at, values]) => of(at, values));
}

function curves() {
  const box = document.getElementById("curves"), kinds = Object.keys(KINDS).filter((kind) => data.runs.some((run) => known(KINDS[kind].of(run.curves)).length));
  if (!kinds.length) return void (box.hidden = true);
  const [what, which, single, smooth, log] = ["what", "which", "single", "smooth", "log"].map((id) => document.getElementById(id)), hidden = new Set();
  what.append(...kinds.map((kind) => make("option", {}, kind)));
  const host = box.querySelector(".chart"), names = box.querySelector(".legend"), note = box.querySelector(".note");
  const members = data.groups.map(() => []);
  data.runs.forEach((run) => members[run.group].push(run));
  const draw = () => {
    const kind = KINDS[what.value], words = which.value.toLowerCase().split(/\s+/).filter(Boolean);
    const low = (p) => (kind.percent ? Math.max(p[1] - p[2], Math.min(p[1], 0)) : p[1] - p[2]), high = (p) => (kind.percent ? Math.min(p[1] + p[2], Math.max(p[1], 1)) : p[1] + p[2]);
    const fits = (label) => words.every((word) => label.toLowerCase().includes(word));
    const weight = kind.steps ? 0 : +smooth.value, drawn = (run) => smoothed(known(kind.of(run.curves)), weight), name = what.value + (weight ? `, smoothed by ${weight}` : "");
    smooth.nextElementSibling.textContent = weight || "off";
    const found = data.groups.map((g, i) => i).filter((i) => (words.length || !data.groups[i].control) && fits(data.groups[i].label) && members[i].some((run) => drawn(run).length));
    const shown = found.slice(0, MOST_LINES), tint = new Map(shown.map((i, n) => [i, colour(n)])), dashed = new Set(shown.slice(8));
    note.textContent = found.length > shown.length ? `The first ${shown.length} of ${found.length} groups: name others above.` : "";
    names.replaceChildren(...shown.map((i) => {
      const button = make("button", { type: "button", "aria-pressed": String(!hidden.has(i)) }, stroke(tint.get(i)), data.groups[i].label);
      if (dashed.has(i)) button.firstChild.classList.add("dashed");
      button.addEventListener("click", () => { if (!hidden.delete(i)) hidden.add(i); draw(); });
      return button;
    }));
    const lines = shown.filter((i) => !hidden.has(i)).flatMap((i) => {
      const all = members[i].map((run) => [run, drawn(run)]).filter(([, points]) => points.length), label = data.groups[i].label;
      const one = (name, points) => ({ name, tint: tint.get(i), dash: dashed.has(i) ? ";stroke-dasharray:7 4" : "", points });
      return single.checked ? all.map(([run, points]) => one(`${label}, seed ${run.seed}`, points.map(([x, y]) => [x, y, 0]))) : [one(label, meanOfSeeds(all, kind.steps))];
    });
    const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x} ${y}`).join("");
    const corners = (points) => (kind.steps ? points.flatMap((p, n) => (n ? [[p[0], points[n - 1][1], points[n - 1][2]], p] : [p])) : points);
    // The first twentieth of a run would flatten everything after it, and may lie partly outside.
    // Bands of many groups lie on each other: together they are never darker than a few.
    const banded = lines.filter((l) => l.points.some((p) => p[2])).length, shade = Math.min(0.16, 1 - 0.55 ** (1 / banded));
    const end = Math.max(...lines.flatMap((l) => l.points.map((p) => p[0]))), late = (p) => p[0] >= end * 0.05;
    chart(host, {
      label: `${name} over training`, yLog: log.checked && !kind.steps, axis: data.words[data.runs[0].curves.axis] || "epoch", tight: true, yPercent: kind.percent,
      xs: lines.flatMap((l) => l.points.map((p) => p[0])), ys: lines.flatMap((l) => l.points.filter(late).flatMap((p) => (log.checked ? [p[1], high(p)] : [low(p), high(p)]))),
      table: () => [["line", data.words[data.runs[0].curves.axis], name, "half of the interval"], ...lines.flatMap((l) => l.points.map((p) => [l.name, ...p]))],
      draw: (svg, x, y) => {
        for (const l of lines) {
          const points = corners(l.points);
          if (points.some((p) => p[2])) svg.append(make("path", { class: "band", "data-name": l.name, style: `fill:${l.tint};opacity:${shade.toFixed(3)}`, d: path([...points.map((p) => [x(p[0]), y(high(p))]), ...points.map((p) => [x(p[0]), y(low(p))]).reverse()]) + "Z" }));
        }
        for (const l of lines) svg.append(make("path", { class: single.checked ? "line many" : "line", "data-name": l.name, style: `stroke:${l.tint}${l.dash}`, d: path(corners(l.points).map((p) => [x(p[0]), y(p[1])])) }));
      },
    });
  };
  [what, single, log].forEach((input) => input.addEventListener("change", draw));
  [which, smooth].forEach((input) => input.addEventListener("input", draw));
  draw();
}
