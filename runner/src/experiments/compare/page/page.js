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

const L = 56, R = 14, T = 12, B = 40;
// The height of the chart that is being drawn.
let H = 280;
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
// The same between two powers of ten: those themselves, with twos and fives where there are few, and even steps within one.
function logTicks(low, high) {
  const decades = high - low, all = [];
  if (decades < 1) return ticks(10 ** low, 10 ** high, 5).filter((t) => t > 0).map(Math.log10);
  const every = Math.ceil(decades / 6);
  for (let power = Math.floor(low); power <= high; power++) for (const f of decades < 3 ? [1, 2, 5] : power % every ? [] : [1]) all.push(power + Math.log10(f));
  return all.filter((t) => t >= low && t <= high);
}
const short = (v, percent) => {
  if (percent) return +(v * 100).toPrecision(5) + " %";
  const [n, unit] = Math.abs(v) >= 1e9 ? [v / 1e9, " G"] : Math.abs(v) >= 1e6 ? [v / 1e6, " M"] : Math.abs(v) >= 1e4 ? [v / 1e3, " k"] : [v, ""];
  return +n.toPrecision(4) + unit;
};

// A chart that zooms: drag a rectangle, double-click to see everything again.
function chart(host, spec) {
  // As wide as its place, so that its letters are as large as the page's.
  const room = () => Math.min(Math.max(Math.round(host.clientWidth) || 480, 300), 1300);
  let W = room(), view = null;
  const whole = () => {
    const xs = spec.xs.filter(Number.isFinite), ys = (spec.yLog ? spec.ys.filter((v) => v > 0).map(Math.log10) : spec.ys).filter(Number.isFinite);
    const least = (all) => all.reduce((a, b) => Math.min(a, b), Infinity), most = (all) => all.reduce((a, b) => Math.max(a, b), -Infinity);
    const pad = (a, b, room, percent) => {
      if (a > b) return [0, 1];
      const size = Math.max(Math.abs(a), Math.abs(b)), d = b - a > size * NARROWEST ? (b - a) * room : size * 0.1 || 0.1;
      // No percentage lies outside 0 to 100.
      return percent ? [Math.max(a - d, Math.min(a, 0)), Math.min(b + d, Math.max(b, 1))] : [a - d, b + d];
    };
    return [...pad(least(xs), most(xs), spec.tight && most(xs) > least(xs) ? 0 : spec.room ?? 0.06, spec.xPercent), ...pad(least(ys), most(ys), 0.06, spec.yPercent && !spec.yLog)];
  };
  const draw = () => {
    H = W > 800 ? 380 : 280;
    const [x0, x1, y0, y1] = view ?? whole(), high = H;
    const x = (v) => L + ((v - x0) / (x1 - x0 || 1)) * (W - L - R), height = (v) => T + ((y1 - v) / (y1 - y0 || 1)) * (H - T - B);
    // What has no logarithm lies below everything.
    const y = spec.yLog ? (v) => height(v > 0 ? Math.max(Math.log10(v), y0 - 1) : y0 - 1) : height;
    const axes = { x: [L, W - R, x0, x1], y: [H - B, T, y0, y1], axis: spec.axis, percent: !!spec.yPercent, xPercent: !!spec.xPercent, log: !!spec.yLog };
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": spec.label, tabindex: 0, "data-axes": JSON.stringify(axes) });
    const id = "clip" + Math.random().toString(36).slice(2);
    svg.append(make("clipPath", { id }, make("rect", { x: L - 7, y: T - 7, width: W - L - R + 14, height: H - T - B + 14 })));
    for (const t of spec.yLog ? logTicks(y0, y1) : ticks(y0, y1, 5)) svg.append(make("line", { class: "grid", x1: L, x2: W - R, y1: height(t), y2: height(t) }),
      make("text", { class: "tick", x: L - 8, y: height(t) + 4, "text-anchor": "end" }, short(spec.yLog ? 10 ** t : t, spec.yPercent)));
    for (const t of ticks(x0, x1, 6)) svg.append(make("text", { class: "tick", x: x(t), y: H - B + 18, "text-anchor": "middle" }, short(t, spec.xPercent)));
    svg.append(make("text", { class: "tick", x: W - R, y: H - 4, "text-anchor": "end" }, spec.axis), make("line", { class: "base", x1: L, x2: W - R, y1: H - B, y2: H - B }));
    const inner = make("g", { "clip-path": `url(#${id})` });
    spec.draw(inner, x, y);
    svg.append(inner);
    const at = (event) => { const r = svg.getBoundingClientRect(); return [((event.clientX - r.left) / r.width) * W, ((event.clientY - r.top) / r.height) * high]; };
    svg.addEventListener("pointerdown", (down) => {
      // A finger scrolls the page, and points.
      if (down.pointerType === "touch") return;
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
        const ux = (p) => x0 + ((p - L) / (W - L - R)) * (x1 - x0), uy = (p) => y1 - ((p - T) / (high - T - B)) * (y1 - y0);
        view = [ux(Math.min(a, c)), ux(Math.max(a, c)), uy(Math.max(b, d)), uy(Math.min(b, d))];
        host.dataset.zoomed = "true";
        draw();
      }, { once: true });
    });
    svg.addEventListener("dblclick", () => { view = null; delete host.dataset.zoomed; draw(); });
    const old = host.querySelector("svg");
    if (old) old.replaceWith(svg); else host.append(svg);
  };
  draw();
  host.redraw = () => { if (host.clientWidth && room() !== W) { W = room(); draw(); } };
  host.querySelector(".save")?.remove();
  if (spec.table) host.append(saving(spec.label, () => host.querySelector("svg"), spec.table));
}

// What is on the screen, zoomed or not, as a file: pictures carry the look of their marks with them.
const LOOK = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "fill-opacity", "font-size", "font-family", "font-weight", "text-anchor"];
function alone(svg) {
  const copy = svg.cloneNode(true), box = svg.viewBox.baseVal, page = getComputedStyle(document.documentElement).getPropertyValue("--card").trim();
  const [from, to] = [svg.querySelectorAll("*"), copy.querySelectorAll("*")];
  from.forEach((node, i) => { const look = getComputedStyle(node); to[i].removeAttribute("class"); to[i].setAttribute("style", LOOK.map((k) => `${k}:${look.getPropertyValue(k)}`).join(";")); });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", box.width); copy.setAttribute("height", box.height);
  copy.prepend(make("rect", { width: "100%", height: "100%", style: `fill:${page}` }));
  return new XMLSerializer().serializeToString(copy);
}
const quoted = (value) => { const text = String(value ?? ""), safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? "'" + text : text; return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe; };
// A name of a file: letters, digits, and single dashes between them.
const filed = (name) => name.replaceAll(/[^\p{L}\p{N}_.]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "") || "chart";
function saving(name, svg, rows) {
  const file = (kind, url) => { const link = make("a", { href: url, download: `${filed(name)}.${kind}` }); link.click(); };
  const blob = (kind, type, text) => { const url = URL.createObjectURL(new Blob([text], { type })); file(kind, url); setTimeout(() => URL.revokeObjectURL(url), 60_000); };
  const kinds = {
    svg: () => blob("svg", "image/svg+xml", alone(svg())),
    png: () => {
      const box = svg().viewBox.baseVal, image = new Image(), canvas = make("canvas", { width: box.width * 3, height: box.height * 3 });
      image.onload = () => { canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height); file("png", canvas.toDataURL("image/png")); };
      image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(alone(svg()));
    },
    csv: () => blob("csv", "text/csv", rows().map((row) => row.map(quoted).join(",")).join("\n") + "\n"),
  };
  const button = ([kind, save]) => { const node = make("button", { type: "button", title: `Save as ${kind.toUpperCase()}` }, kind.toUpperCase()); node.addEventListener("click", save); return node; };
  return make("div", { class: "save" }, ...Object.entries(kinds).map(button));
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
  if (box) legend(data.groups.flatMap((g, i) => (Object.keys(g.metrics).length ? [[g.label, symbol(looks[i])]] : [])), box);
  document.querySelectorAll("[data-front]").forEach((host) => {
    const front = data.fronts[+host.dataset.front], cost = data.metrics.find((f) => f.key === front.key);
    const points = data.groups.map((g, i) => ({ g, i, x: g.metrics[front.key], y: g.metrics[data.metric] })).filter((p) => p.x && p.y);
    chart(host, {
      table: () => [["group", cost.key, metric.key], ...points.map((p) => [p.g.label, p.x.mean, p.y.mean])],
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
          dot.dataset.tip = [p.g.label, told(metric, p.y), told(cost, p.x)].join("\n");
          svg.append(dot);
        }
      },
    });
  });
}

// A mean for people: `test accuracy: 92.10 % [91.70, 92.50], 5 runs`.
const told = (f, s) => {
  const one = (v) => (f.percent ? (v * 100).toFixed(2) : short(v)), range = s.interval ? ` [${one(s.interval.low)}, ${one(s.interval.high)}]` : "";
  return `${f.label}: ${one(s.mean)}${f.percent ? " %" : f.seconds ? " s" : ""}${range}, ${counted(s.n, "run")}`;
};
const counted = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const ends = (s) => (s.interval ? [s.interval.low, s.interval.high] : [s.mean, s.mean]);
const metric = () => data.metrics.find((f) => f.key === data.metric);
const symbol = (look) => make("svg", { class: "symbol", viewBox: "-8 -8 16 16" }, mark(look));

// The metric over sparsity: one scale for all panels, a line and a band for each name.
function over() {
  const box = document.getElementById("over"), o = data.panels.over, m = metric();
  if (!box || !o) return;
  const value = (i) => data.groups[i].metrics[data.metric], at = (i) => data.groups[i].metrics[o.x.key].mean;
  const all = o.panels.flatMap((p) => p.lines.flat()), dense = o.panels.flatMap((p) => (p.dense === null ? [] : [p.dense]));
  const never = make("svg", { class: "symbol", viewBox: "-8 -8 16 16" }, make("line", { class: "dense", x1: -8, x2: 8, y1: 0, y2: 0 }));
  legend([...o.names.flatMap((name, n) => (name ? [[name, symbol({ index: n })]] : [])), ...(dense.length ? [["never pruned", never]] : [])], box.querySelector(".legend"));
  for (const panel of o.panels) {
    const host = make("div", { class: "chart" });
    if (panel.title) host.append(make("h3", {}, panel.title));
    box.querySelector(".fronts").append(host);
    chart(host, {
      label: `${m.label} over ${o.x.label}${panel.title ? `, ${panel.title}` : ""}`, axis: o.x.label, xPercent: o.x.percent, yPercent: m.percent,
      xs: all.map(at), ys: [...all, ...dense].flatMap((i) => ends(value(i))),
      table: () => [[o.by || "line", o.x.key, "runs", m.key, "low", "high"], ...panel.lines.flatMap((line, n) => line.map((i) => [o.names[n], at(i), value(i).n, value(i).mean, ...(value(i).interval ? ends(value(i)) : ["", ""])]))],
      draw: (svg, x, y) => {
        const path = (points) => points.map(([a, b], n) => `${n ? "L" : "M"}${a} ${b}`).join("");
        if (panel.dense !== null) svg.append(make("path", { class: "line dense", "data-name": "never pruned", d: path([[-1e4, y(value(panel.dense).mean)], [1e4, y(value(panel.dense).mean)]]) }));
        panel.lines.forEach((line, n) => line.length > 1 && svg.append(make("path", { class: "band", "data-name": o.names[n] || m.label, style: `fill:${colour(n)}`,
          d: path([...line.map((i) => [x(at(i)), y(ends(value(i))[1])]), ...line.map((i) => [x(at(i)), y(ends(value(i))[0])]).reverse()]) + "Z" })));
        panel.lines.forEach((line, n) => {
          svg.append(make("path", { class: "line", "data-name": o.names[n] || m.label, style: `stroke:${colour(n)}`, d: path(line.map((i) => [x(at(i)), y(value(i).mean)])) }));
          for (const i of line) {
            const dot = mark({ index: n }, x(at(i)), y(value(i).mean));
            dot.dataset.tip = [data.groups[i].label, told(m, value(i)), `${o.x.label}: ${short(at(i), o.x.percent)}`].join("\n");
            svg.append(dot);
          }
        });
      },
    });
  }
}

// The mean for every combination of two keys: the darker, the more; what is missing is empty.
function maps() {
  const box = document.getElementById("maps"), found = data.panels.maps, m = metric();
  if (!box || !found) return;
  const value = (i) => data.groups[i].metrics[data.metric], [rows, columns] = found.values;
  const means = found.maps.flatMap(([, map]) => map.flat().filter((i) => i !== null).map((i) => value(i).mean));
  const [low, high] = [Math.min(...means), Math.max(...means)], named = Math.min(Math.max(...rows.map((row) => row.length), 11), 28), left = 12 + 7 * named, top = 8, [w, h] = [Math.max(380 / columns.length, 34), 30];
  for (const [title, map] of found.maps) {
    const W = left + w * columns.length + 8, H = top + h * rows.length + 46;
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": [`${m.label} by ${found.keys.join(" and ")}`, title].filter(Boolean).join(", "), tabindex: 0, "data-cells": columns.length, style: `max-width:${W}px` });
    const fit = (text, room) => (text.length > room ? text.slice(0, room - 1) + "…" : text);
    rows.forEach((row, r) => {
      svg.append(make("text", { class: "tick", x: left - 8, y: top + h * (r + 0.5) + 4, "text-anchor": "end" }, fit(row, named)));
      columns.forEach((column, c) => {
        const i = map[r][c], [x, y] = [left + w * c, top + h * r];
        const none = `${found.keys[0]} = ${row}, ${found.keys[1]} = ${column}\nno run finished`;
        if (i === null) return svg.append(make("rect", { class: "none", x: x + 1, y: y + 1, width: w - 2, height: h - 2, "data-tip": none }));
        const part = high > low ? (value(i).mean - low) / (high - low) : 0.5, shown = m.percent ? (value(i).mean * 100).toFixed(2) : short(value(i).mean);
        const tip = [title, `${found.keys[0]} = ${row}, ${found.keys[1]} = ${column}`, told(m, value(i))].filter(Boolean).join("\n");
        svg.append(make("rect", { class: "cell", x: x + 1, y: y + 1, width: w - 2, height: h - 2, style: `fill-opacity:${0.08 + 0.84 * part}`, "data-tip": tip }),
          make("text", { class: part > 0.62 ? "value dark" : "value", x: x + w / 2, y: y + h / 2 + 4, "text-anchor": "middle" }, shown));
      });
    });
    columns.forEach((column, c) => svg.append(make("text", { class: "tick", x: left + w * (c + 0.5), y: H - 26, "text-anchor": "middle" }, fit(column, Math.floor(w / 7)))));
    svg.append(make("text", { class: "tick", x: W - 8, y: H - 6, "text-anchor": "end" }, found.keys[1]), make("text", { class: "tick", x: 2, y: H - 6 }, found.keys[0]));
    const host = make("div", { class: "chart" }, ...(title ? [make("h3", {}, title)] : []), svg);
    host.append(saving(`${m.label} by ${found.keys.join(" and ")} ${title}`, () => svg, () => [[...found.keys, m.key], ...rows.flatMap((row, r) => columns.flatMap((column, c) => (map[r][c] === null ? [] : [[row, column, value(map[r][c]).mean]])))]));
    box.querySelector(".fronts").append(host);
  }
}

// Runs that the list shows at once: a browser takes long to lay out thousands.
const ROWS = 200;

// The list of runs: sorted by a click on a head, and those that are looked for.
function runs() {
  const list = document.getElementById("runs"), about = { run: "Its folder; click for its curves and config", group: "Runs that differ in their seeds alone", seed: "What all its randomness comes from" };
  const names = [...Object.keys(about), ...data.metrics.map((f) => f.label)], titles = [...Object.values(about), ...data.metrics.map((f) => f.about)];
  const head = make("tr", {}, ...names.map((name, n) => make("th", { title: titles[n], tabindex: 0 }, name))), body = make("tbody");
  list.append(make("thead", {}, head), body);
  const more = make("button", { type: "button" }), box = document.getElementById("find"), count = document.getElementById("found");
  list.after(make("p", { class: "more" }, more));
  const fits = finding(), order = data.runs.map((_, i) => i);
  const value = (run, column) => [run.folder, data.groups[run.group].label, isNaN(run.seed) ? run.seed : +run.seed][column] ?? run.metrics[column - 3] ?? null;
  const row = (i) => {
    const run = data.runs[i], row = make("tr", data.groups[run.group].control ? { class: "control" } : {});
    const cells = [make("a", { href: `#run/${i}` }, run.folder), data.groups[run.group].label, run.seed, ...run.metrics.map((value, n) => (value !== null ? written(data.metrics[n], value) : run.error && !n ? "failed" : ""))];
    row.append(...cells.map((cell, n) => make("td", { "data-label": names[n] }, cell)));
    if (run.error) { row.classList.add("failed"); row.title = run.error; }
    row.addEventListener("click", () => { location.hash = `run/${i}`; });
    return row;
  };
  let limit = ROWS;
  const draw = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean), found = order.filter((i) => words.every((word) => fits(data.runs[i], i, word)));
    body.replaceChildren(...found.slice(0, limit).map(row));
    count.textContent = words.length ? `${found.length} of ${counted(order.length, "run")}` : "";
    more.parentNode.hidden = found.length <= limit;
    more.textContent = `Show all ${found.length}; these are ${Math.min(limit, found.length)}`;
  };
  [...head.cells].forEach((cell, column) => {
    const sort = () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      order.sort((i, j) => {
        const [a, b] = [value(data.runs[i], column), value(data.runs[j], column)];
        // What has no value comes last, whichever way.
        if (a === null || b === null) return (a === null) - (b === null) || i - j;
        const by = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return (down ? -by : by) || i - j;
      });
      draw();
    };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
  box.addEventListener("input", () => { limit = ROWS; draw(); });
  more.addEventListener("click", () => { limit = Infinity; draw(); });
  draw();
}

// What a person looks for: words that stand in a row, and figures, as in test_accuracy>0.9 or seed=3.
function finding() {
  const texts = data.runs.map((run) => `${run.folder} ${data.groups[run.group].label} ${run.error ? "failed " + run.error : "finished"}`.toLowerCase());
  const figure = (run, key) => {
    if (key === "seed") return +run.seed;
    const at = data.metrics.findIndex((f) => f.key === key || f.label.replaceAll(" ", "_") === key);
    return at < 0 ? undefined : run.metrics[at] ?? NaN;
  };
  const compare = { ">": (a, b) => a > b, "<": (a, b) => a < b, "=": (a, b) => a === b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b };
  return (run, i, word) => {
    const [, key, sign, number] = /^([\w.]+)(>=|<=|>|<|=)(-?[\d.]+(?:e-?\d+)?)$/i.exec(word) ?? [];
    const value = key && figure(run, key);
    return value === undefined ? texts[i].includes(word) : compare[sign](value, +number);
  };
}

const table = (heads, rows, attributes = {}) => make("table", attributes, make("thead", {}, make("tr", {}, ...heads.map((h) => make("th", {}, h)))),
  make("tbody", {}, ...rows.map((r) => make("tr", {}, ...r.map((c) => make("td", {}, String(c)))))));

function curve(title, run, series, percent) {
  const card = make("section", { class: "card" }, make("h2", {}, title)), host = make("div", { class: "chart" });
  const shown = series.filter((s) => s.points.length);
  if (!shown.length) return "";
  card.append(legend(shown.map((s, i) => [s.name, stroke(colour(i))])), host);
  // It has its width once it is on the page.
  queueMicrotask(() => chart(host, {
    table: () => [["series", data.words[run.curves.axis], title], ...shown.flatMap((s) => s.points.map((p) => [s.name, ...p]))],
    label: `${title} of ${run.folder}`, axis: data.words[run.curves.axis], tight: true, yPercent: percent, xs: shown.flatMap((s) => s.points.map((p) => p[0])), ys: shown.flatMap((s) => s.points.map((p) => p[1] ?? NaN)),
    draw: (svg, x, y) => {
      for (const [at, , , , , remaining] of run.curves.prunes) svg.append(make("line", { class: "vline", x1: x(at), x2: x(at), y1: T, y2: H - B, "data-at": x(at), "data-tip": `pruning step, ${remaining} parameters remaining` }));
      shown.forEach((s, i) => svg.append(make("path", { class: "line", "data-name": s.name, style: `stroke:${colour(i)}`, d: s.points.filter((p) => p[1] !== null).map((p, n) => `${n ? "L" : "M"}${x(p[0])} ${y(p[1])}`).join("") })));
    },
  }));
  return card;
}

// Charts that have another width now, or one for the first time.
const redraw = () => document.querySelectorAll(".chart").forEach((host) => host.redraw?.());

function show() {
  const found = /^#run\/(\d+)$/.exec(location.hash), run = found && data.runs[+found[1]];
  const [overview, cell] = [document.getElementById("overview"), document.getElementById("cell")];
  [overview.hidden, cell.hidden] = [!!run, !run];
  if (!run) return redraw();
  const group = data.groups[run.group], c = run.curves;
  const held = data.words[c.held_out_name] || "held out";
  const tiles = make("div", { class: "tiles" }, ...run.metrics.flatMap((value, i) => (value !== null ? [make("div", { class: "tile" }, make("b", {}, written(data.metrics[i], value)), make("span", {}, data.metrics[i].label))] : [])));
  const card = (title, ...rest) => make("section", { class: "card wide" }, make("h2", {}, title), ...rest);
  cell.replaceChildren(
    make("header", {}, make("a", { href: "#", id: "back" }, "← all runs"), make("h1", {}, run.folder), make("p", {}, `${group.label}, seed ${run.seed}`)),
    run.error ? card("Failed", make("p", { class: "down" }, run.error)) : "",
    tiles,
    make("div", { class: "charts" }, curve("Accuracy", run, [{ name: "training", points: zipped(c, "train", true) }, { name: held, points: zipped(c, "held_out", true) }], true),
      curve("Loss", run, [{ name: "training", points: zipped(c, "train", false) }, { name: held, points: zipped(c, "held_out", false) }], false)),
    card("Config, where it differs from the baseline", run.differs.length ? table(["key", "here", "baseline"], run.differs.map((row) => row.map((n) => data.words[n])), { class: "config" }) : make("p", { class: "empty" }, "Nothing differs.")),
    card("Pruning steps", c.prunes.length ? make("div", { class: "scroll" }, table(["epoch", "step", `target, of the ${data.words[c.of]}`, "achieved, of those", "parameters remaining"],
      c.prunes.map(([, epoch, step, target, achieved, remaining]) => [epoch, step, target === null ? "its own" : (target * 100).toFixed(1) + " %", (achieved * 100).toFixed(1) + " %", remaining]))) : make("p", { class: "empty" }, "Nothing was pruned."),
      c.prunes.length < c.pruned ? make("p", { class: "note" }, `${c.prunes.length} of ${c.pruned}: a page of many runs has room for some, the run's own report for more.`) : ""),
  );
  scrollTo(0, 0);
}
