"use strict";
// Runs stand in columns, and what several have in common stands once: a page of thousands of runs stays small. Here are they as objects.
const data = JSON.parse(document.getElementById("data").textContent);
for (const head of data.metrics) [head.percent, head.seconds] = [head.unit === "percent", head.unit === "seconds"];
{
  const { runs, metrics, words, columns } = data, scale = (head) => (head.unit === "bytes" ? 1e6 : 1);
  const sample = ([n, ...values], head) => {
    const [mean, low, high] = values.map((value) => value * scale(head));
    return { n, mean, interval: high === undefined ? null : { low, high } };
  };
  data.groups = data.groups.map(([label, control, all]) => ({ label, control, metrics: Object.fromEntries(all.flatMap((one, i) => (one ? [[metrics[i].key, sample(one, metrics[i])]] : []))) }));
  const curves = ([[axis, of, split], end, all, pruned]) => {
    const column = (i) => (Array.isArray(all[i]) ? all[i] : columns[all[i]]), table = (first, count) => Array.from({ length: count }, (_, i) => column(first + i));
    const [train, held_out, prunes] = [table(0, 3), table(3, 3), table(6, 6)];
    return { axis, of, held_out_name: split, end, pruned, train, held_out, prunes: prunes[0].map((_, i) => prunes.map((values) => values[i] ?? null)) };
  };
  const heads = metrics.map((head, i) => [runs.metrics[i], scale(head)]);
  data.runs = runs.folder.map((folder, i) => ({
    folder, group: runs.group[i], seed: words[runs.seed[i]], error: runs.error[i] ?? null, differs: runs.differs[i].map((row) => data.rows[row]),
    metrics: heads.map(([values, unit]) => (values[i] === null ? null : values[i] * unit)), curves: curves(runs.curves[i]),
  }));
}

// A number as the program writes it: exact, and halves to the even digit, where `toFixed` takes the larger.
function fixed(value, digits) {
  const MORE = 40, exact = Math.abs(value).toFixed(digits + MORE), kept = exact.slice(0, -MORE);
  const down = /^50*$/.test(exact.slice(-MORE)) && /[02468]\.?$/.test(kept);
  return down ? (value < 0 ? "-" : "") + kept.replace(/\.$/, "") : value.toFixed(digits);
}

// A metric's value as people read it.
function written({ unit }, value) {
  switch (unit) {
    case "percent": return `${fixed(value * 100, 2)} %`;
    case "count": return value >= 1e9 ? `${fixed(value / 1e9, 2)} G` : value >= 1e6 ? `${fixed(value / 1e6, 2)} M` : value >= 1e4 ? `${fixed(value / 1e3, 1)} k` : fixed(value, 0);
    case "seconds": return value >= 600 ? `${fixed(value / 60, 1)} min` : `${fixed(value, 2)} s`;
    case "bytes": return `${fixed(value / 1e6, 0)} MB`;
    default: return fixed(value, 4);
  }
}

