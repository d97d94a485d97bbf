"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const make = (name, attributes = {}, ...children) => {
  const svg = ["svg", "g", "line", "path", "circle", "rect", "text", "title", "clipPath"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const colour = (i) => `var(--s${(i % 8) + 1})`;

// Marks: eight colours and six shapes, paired so that 48 groups have 48 of them, and no two in a row share either.
const SHAPES = ["M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z", "M-4.5-4.5H4.5V4.5H-4.5Z", "M0-6L5.6 4.2H-5.6Z", "M0-6.2L5 0L0 6.2L-5 0Z", "M0 6L-5.6-4.2H5.6Z",
  "M-1.8-5.4H1.8V-1.8H5.4V1.8H1.8V5.4H-1.8V1.8H-5.4V-1.8H-1.8Z"];
const shape = (i) => SHAPES[(i + Math.floor(i / 24)) % SHAPES.length];
// Controls are hollow.
const mark = ({ index, hollow }, x = 0, y = 0) => make("path", { class: hollow ? "point hollow" : "point", d: shape(index),
  transform: `translate(${x} ${y})`, style: hollow ? `stroke:${colour(index)}` : `fill:${colour(index)}` });

// Tables: a click on a head sorts, another turns the order. Narrow screens stack a row's cells, each after its head.
function sortable(table) {
  const heads = [...table.querySelectorAll("th")].map((head) => head.textContent);
  for (const row of table.tBodies[0].rows) [...row.cells].forEach((cell, column) => { cell.dataset.label = heads[column] ?? ""; });
  table.querySelectorAll("th").forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const order = x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}

const H = 280, L = 56, R = 14, T = 12, B = 40;
// An axis is never narrower than this part of its numbers: below lies rounding.
const NARROWEST = 1e-6;
function ticks(low, high, count) {
  const raw = (high - low) / count;
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999) ?? 10 * power;
  const all = [], first = Math.ceil(low / step - 1e-9);
  for (let i = 0; i <= 2 * count + 2 && (first + i) * step <= high + step * 1e-9; i++) all.push((first + i) * step);
  return all;
}
const short = (v, percent) => {
  if (percent) return +(v * 100).toPrecision(5) + " %";
  const [n, unit] = Math.abs(v) >= 1e9 ? [v / 1e9, " G"] : Math.abs(v) >= 1e6 ? [v / 1e6, " M"] : Math.abs(v) >= 1e4 ? [v / 1e3, " k"] : [v, ""];
  return +n.toPrecision(4) + unit;
};

// A chart that zooms: drag a rectangle, double-click to see everything again.
function chart(host, spec) {
  const W = spec.width ?? 480;
  let view = null;
  const whole = () => {
    const xs = spec.xs.filter(Number.isFinite), ys = spec.ys.filter(Number.isFinite);
    const least = (all) => all.reduce((a, b) => Math.min(a, b), Infinity), most = (all) => all.reduce((a, b) => Math.max(a, b), -Infinity);
    const pad = (a, b, room, percent) => {
      if (a > b) return [0, 1];
      const size = Math.max(Math.abs(a), Math.abs(b)), d = b - a > size * NARROWEST ? (b - a) * room : size * 0.1 || 0.1;
      // No percentage lies outside 0 to 100.
      return percent ? [Math.max(a - d, Math.min(a, 0)), Math.min(b + d, Math.max(b, 1))] : [a - d, b + d];
    };
    return [...pad(least(xs), most(xs), spec.tight && most(xs) > least(xs) ? 0 : spec.room ?? 0.06, spec.xPercent), ...pad(least(ys), most(ys), 0.06, spec.yPercent)];
  };
  const draw = () => {
    const [x0, x1, y0, y1] = view ?? whole();
    const x = (v) => L + ((v - x0) / (x1 - x0 || 1)) * (W - L - R), y = (v) => T + ((y1 - v) / (y1 - y0 || 1)) * (H - T - B);
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": spec.label });
    const id = "clip" + Math.random().toString(36).slice(2);
    svg.append(make("clipPath", { id }, make("rect", { x: L, y: T - 5, width: W - L - R, height: H - T - B + 10 })));
    for (const t of ticks(y0, y1, 5)) svg.append(make("line", { class: "grid", x1: L, x2: W - R, y1: y(t), y2: y(t) }),
      make("text", { class: "tick", x: L - 8, y: y(t) + 4, "text-anchor": "end" }, short(t, spec.yPercent)));
    for (const t of ticks(x0, x1, 6)) svg.append(make("text", { class: "tick", x: x(t), y: H - B + 18, "text-anchor": "middle" }, short(t, spec.xPercent)));
    svg.append(make("text", { class: "tick", x: W - R, y: H - 4, "text-anchor": "end" }, spec.axis), make("line", { class: "base", x1: L, x2: W - R, y1: H - B, y2: H - B }));
    const inner = make("g", { "clip-path": `url(#${id})` });
    spec.draw(inner, x, y);
    svg.append(inner);
    const at = (event) => { const r = svg.getBoundingClientRect(); return [((event.clientX - r.left) / r.width) * W, ((event.clientY - r.top) / r.height) * H]; };
    svg.addEventListener("pointerdown", (down) => {
      const [c, d] = at(down), box = make("rect", { class: "zoom" });
      svg.append(box);
      const move = (event) => {
        const [a, b] = at(event);
        for (const [k, v] of Object.entries({ x: Math.min(a, c), y: Math.min(b, d), width: Math.abs(a - c), height: Math.abs(b - d) })) box.setAttribute(k, v);
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", (up) => {
        removeEventListener("pointermove", move);
        box.remove();
        const [a, b] = at(up);
        if (Math.abs(a - c) < 8 || Math.abs(b - d) < 8) return;
        if ((x1 - x0) / Math.max(Math.abs(x0), Math.abs(x1)) < NARROWEST * 100 || (y1 - y0) / Math.max(Math.abs(y0), Math.abs(y1)) < NARROWEST * 100) return;
        const ux = (p) => x0 + ((p - L) / (W - L - R)) * (x1 - x0), uy = (p) => y1 - ((p - T) / (H - T - B)) * (y1 - y0);
        view = [ux(Math.min(a, c)), ux(Math.max(a, c)), uy(Math.max(b, d)), uy(Math.min(b, d))];
        host.dataset.zoomed = "true";
        draw();
      }, { once: true });
    });
    svg.addEventListener("dblclick", () => { view = null; delete host.dataset.zoomed; draw(); });
    host.querySelector("svg")?.remove();
    host.append(svg);
  };
  draw();
}

const legend = (items, box = make("div", { class: "legend" })) => {
  for (const [name, symbol] of items) box.append(make("span", {}, symbol, name));
  return box;
};
const stroke = (tint) => { const line = make("i"); line.style.color = tint; return line; };

// Groups and controls are counted apart: a hollow mark and a full one differ anyway.
const looks = (() => {
  const counts = { own: 0, control: 0 };
  return data.groups.map((g) => ({ index: counts[g.control ? "control" : "own"]++, hollow: !!g.control }));
})();

function fronts() {
  const metric = data.metrics.find((f) => f.key === data.metric), box = document.getElementById("legend");
  const symbol = (i) => make("svg", { class: "symbol", viewBox: "-8 -8 16 16" }, mark(looks[i]));
  if (box) legend(data.groups.flatMap((g, i) => (Object.keys(g.metrics).length ? [[g.label, symbol(i)]] : [])), box);
  document.querySelectorAll("[data-front]").forEach((host) => {
    const front = data.fronts[+host.dataset.front], cost = data.metrics.find((f) => f.key === front.key);
    const points = data.groups.map((g, i) => ({ g, i, x: g.metrics[front.key], y: g.metrics[data.metric] })).filter((p) => p.x && p.y);
    const ends = (s) => (s.interval ? [s.interval.low, s.interval.high] : [s.mean]);
    chart(host, {
      label: `${metric.label} against ${cost.label}`, axis: cost.label + (cost.seconds ? ", s" : ""), xPercent: cost.percent, yPercent: metric.percent,
      xs: points.flatMap((p) => ends(p.x)), ys: points.flatMap((p) => ends(p.y)), room: 0.12,
      draw: (svg, x, y) => {
        const line = front.groups.map((i) => points.find((p) => p.i === i)).map((p, n) => `${n ? "L" : "M"}${x(p.x.mean)} ${y(p.y.mean)}`).join("");
        svg.append(make("path", { class: "front", d: line }));
        // A mark stands where its mean is, even on top of another: the whiskers first, so that none hides a mark.
        for (const p of points) {
          const [px, py] = [x(p.x.mean), y(p.y.mean)];
          const rule = (s, across) => s.interval && svg.append(make("line", { class: "whisker", style: `stroke:${colour(looks[p.i].index)}`,
            ...(across ? { x1: x(s.interval.low), x2: x(s.interval.high), y1: py, y2: py } : { x1: px, x2: px, y1: y(s.interval.low), y2: y(s.interval.high) }) }));
          rule(p.y, false); rule(p.x, true);
        }
        for (const p of points) {
          const dot = mark(looks[p.i], x(p.x.mean), y(p.y.mean));
          dot.dataset.x = p.x.mean;
          dot.append(make("title", {}, `${p.g.label}: ${short(p.y.mean, metric.percent)} at ${short(p.x.mean, cost.percent)}`));
          svg.append(dot);
        }
      },
    });
  });
}

function runs() {
  const table = document.getElementById("runs");
  const head = make("tr", {}, ...["run", "group", "seed"].map((t) => make("th", {}, t)), ...data.metrics.map((f) => make("th", { title: f.about }, f.label)));
  const body = make("tbody");
  data.runs.forEach((run, i) => {
    const row = make("tr", data.groups[run.group].control ? { class: "control" } : {});
    row.append(make("td", {}, make("a", { href: `#run/${i}` }, run.folder)), make("td", {}, data.groups[run.group].label), make("td", { "data-sort": run.seed }, run.seed));
    run.metrics.forEach((f, n) => row.append(f ? make("td", { "data-sort": f[0] }, f[1]) : make("td", {}, run.error && !n ? "failed" : "")));
    if (run.error) { row.classList.add("failed"); row.title = run.error; }
    row.addEventListener("click", () => { location.hash = `run/${i}`; });
    body.append(row);
  });
  table.append(make("thead", {}, head), body);
}

const table = (heads, rows, attributes = {}) => make("table", attributes, make("thead", {}, make("tr", {}, ...heads.map((h) => make("th", {}, h)))),
  make("tbody", {}, ...rows.map((r) => make("tr", {}, ...r.map((c) => make("td", {}, String(c)))))));

function curve(title, run, series, percent) {
  const card = make("section", { class: "card" }, make("h2", {}, title)), host = make("div", { class: "chart" });
  const shown = series.filter((s) => s.points.length);
  if (!shown.length) return "";
  card.append(legend(shown.map((s, i) => [s.name, stroke(colour(i))])), host);
  chart(host, {
    label: title, axis: run.curves.axis, tight: true, width: 600, yPercent: percent, xs: shown.flatMap((s) => s.points.map((p) => p[0])), ys: shown.flatMap((s) => s.points.map((p) => p[1] ?? NaN)),
    draw: (svg, x, y) => {
      for (const p of run.curves.prunes) svg.append(make("line", { class: "vline", x1: x(p.at), x2: x(p.at), y1: T, y2: H - B }, make("title", {}, `${p.remaining} parameters remaining`)));
      shown.forEach((s, i) => svg.append(make("path", { class: "line", style: `stroke:${colour(i)}`, d: s.points.filter((p) => p[1] !== null).map((p, n) => `${n ? "L" : "M"}${x(p[0])} ${y(p[1])}`).join("") })));
    },
  });
  return card;
}

function show() {
  const found = /^#run\/(\d+)$/.exec(location.hash), run = found && data.runs[+found[1]];
  const [overview, cell] = [document.getElementById("overview"), document.getElementById("cell")];
  [overview.hidden, cell.hidden] = [!!run, !run];
  if (!run) return;
  const group = data.groups[run.group], c = run.curves;
  const tiles = make("div", { class: "tiles" }, ...run.metrics.flatMap((f, i) => (f ? [make("div", { class: "tile" }, make("b", {}, f[1]), make("span", {}, data.metrics[i].label))] : [])));
  const card = (title, ...rest) => make("section", { class: "card wide" }, make("h2", {}, title), ...rest);
  cell.replaceChildren(
    make("header", {}, make("a", { href: "#", id: "back" }, "← all runs"), make("h1", {}, run.folder), make("p", {}, `${group.label}, seed ${run.seed}`)),
    run.error ? card("Failed", make("p", { class: "down" }, run.error)) : "",
    tiles,
    make("div", { class: "charts" }, curve("Accuracy", run, [{ name: "training", points: c.train_accuracy }, { name: c.held_out || "held out", points: c.held_out_accuracy }], true),
      curve("Loss", run, [{ name: "training", points: c.train_loss }, { name: c.held_out || "held out", points: c.held_out_loss }], false)),
    card("Config, where it differs from the baseline", run.differs.length ? table(["key", "here", "baseline"], run.differs, { class: "config" }) : make("p", { class: "empty" }, "Nothing differs.")),
    card("Pruning steps", c.prunes.length ? table(["epoch", "step", `target, of the ${c.of}`, "achieved, of those", "parameters remaining"],
      c.prunes.map((p) => [p.epoch, p.step, p.target === null ? "its own" : (p.target * 100).toFixed(1) + " %", (p.achieved * 100).toFixed(1) + " %", p.remaining])) : make("p", { class: "empty" }, "Nothing was pruned.")),
  );
  scrollTo(0, 0);
}

runs();
fronts();
document.querySelectorAll("table.sortable").forEach(sortable);
addEventListener("hashchange", show);
show();
