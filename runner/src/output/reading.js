"use strict";
// What stands under the pointer, in words: of a chart's lines their values there, of a mark or a cell what it says of itself. A
// chart that has the focus is read with the arrow keys, and what a head of a table means is told when it gets the focus.
//
// A chart is an `svg` with `data-axes`: two places and two values of each axis, and `digits` where its places are rounded. Lines are `path.line` and their bands `path.band`, with
// their names in `data-name`; whatever has `data-tip` says that. Nothing is remembered, so that charts may be drawn anew.
{
  const NEAR = 14, MOST = 12;
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  let shown = null, place = -1;

  const svg = (name, attributes) => {
    // The namespace of a chart that is there: pages hold no address, so that who looks for one sees that nothing is fetched.
    const node = document.createElementNS(document.querySelector("svg").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const hide = () => {
    shown?.querySelector(".reading")?.remove();
    [shown, place, tip.hidden] = [null, -1, true];
  };
  // Beside a place of the window, and within it.
  const show = (x, y, rows) => {
    tip.replaceChildren(...rows);
    tip.hidden = false;
    const { offsetWidth: w, offsetHeight: h } = tip;
    const left = x + 16 + w < innerWidth - 4 ? x + 16 : x - 16 - w;
    tip.style.left = `${Math.max(4, Math.min(left, innerWidth - w - 4))}px`;
    tip.style.top = `${Math.max(4, Math.min(y - h / 2, innerHeight - h - 4))}px`;
  };
  const row = (text, colour) => {
    const node = document.createElement("div");
    if (colour) {
      const swatch = document.createElement("i");
      swatch.style.background = colour;
      node.append(swatch);
    }
    node.append(text);
    return node;
  };

  // The corners of a path; the third of each says whether a gap is before it.
  const read = new WeakMap();
  const corners = (path) => {
    const found = read.get(path), d = path.getAttribute("d");
    if (found?.d === d) return found.all;
    const all = [...d.matchAll(/([ML])\s*(-?[\d.]+(?:e[-+]?\d+)?)[\s,]+(-?[\d.]+(?:e[-+]?\d+)?)/gi)].map(([, pen, x, y]) => [+x, +y, pen === "M"]);
    read.set(path, { d, all });
    return all;
  };
  // The height of a line at a place, the last one where it stands upright; none where it is not.
  const heightAt = (all, x) => {
    let found = null;
    all.forEach(([ax, ay], i) => {
      const next = all[i + 1];
      if (ax === x) found = ay;
      else if (next && !next[2] && ax < x && x < next[0]) found = ay + ((next[1] - ay) * (x - ax)) / (next[0] - ax);
    });
    return found;
  };
  const shortest = (v, digits = 4) => {
    const size = Math.abs(v), [n, unit] = size >= 1e9 ? [v / 1e9, " G"] : size >= 1e6 ? [v / 1e6, " M"] : size >= 1e4 ? [v / 1e3, " k"] : [v, ""];
    return +n.toPrecision(digits) + unit;
  };
  const scales = (chart) => {
    const axes = JSON.parse(chart.dataset.axes), value = ([p, q, a, b], at) => a + ((at - p) / (q - p)) * (b - a);
    return {
      ...axes, at: (px) => value(axes.x, px),
      told: (py) => {
        const at = value(axes.y, py), v = axes.log ? 10 ** at : at;
        return axes.percent ? `${(v * 100).toFixed(axes.digits ?? 2)} %` : shortest(v, axes.digits === undefined ? 4 : 3);
      },
      place: (px) => { const v = value(axes.x, px); return axes.xPercent ? `${+(v * 100).toFixed(2)} %` : shortest(v); },
    };
  };
  const lines = (chart) => [...chart.querySelectorAll("path.line[data-name]")];
  // Where lines have a value, from left to right, of what is to be seen.
  const places = (chart) => {
    const [left, right] = [...JSON.parse(chart.dataset.axes).x].slice(0, 2);
    const all = new Set(lines(chart).flatMap((line) => corners(line).map(([x]) => x)));
    return [...all].filter((x) => x >= left - 0.5 && x <= right + 0.5).sort((a, b) => a - b);
  };
  const inWindow = (chart, x, y) => {
    const box = chart.getBoundingClientRect(), view = chart.viewBox.baseVal;
    return [box.left + (x / view.width) * box.width, box.top + (y / view.height) * box.height];
  };
  const inChart = (chart, x, y) => {
    const box = chart.getBoundingClientRect(), view = chart.viewBox.baseVal;
    return [((x - box.left) / box.width) * view.width, ((y - box.top) / box.height) * view.height];
  };
  const begin = (chart) => {
    if (shown && shown !== chart) hide();
    shown = chart;
    chart.querySelector(".reading")?.remove();
    const group = svg("g", { class: "reading" });
    chart.append(group);
    return group;
  };

  // All lines at a place; the pointer's height says which come first where there are many.
  const readAcross = (chart, x, height) => {
    const s = scales(chart), group = begin(chart), [top, bottom] = [Math.min(s.y[0], s.y[1]), Math.max(s.y[0], s.y[1])];
    const bands = new Map([...chart.querySelectorAll("path.band[data-name]")].map((band) => [band.dataset.name, corners(band)]));
    let found = lines(chart).map((line) => ({ line, y: heightAt(corners(line), x) })).filter((one) => one.y !== null);
    const all = found.length;
    if (all > MOST) found = found.sort((a, b) => Math.abs(a.y - height) - Math.abs(b.y - height)).slice(0, MOST);
    found.sort((a, b) => a.y - b.y);
    group.append(svg("line", { x1: x, x2: x, y1: top, y2: bottom }));
    const rows = found.map(({ line, y }) => {
      const colour = getComputedStyle(line).stroke, band = bands.get(line.dataset.name);
      if (y >= top - 1 && y <= bottom + 1) group.append(svg("circle", { cx: x, cy: y, r: 3.5, fill: colour }));
      let range = "";
      if (band) {
        const half = band.length / 2, ends = [heightAt(band.slice(half).reverse(), x), heightAt(band.slice(0, half), x)];
        if (ends.every((end) => end !== null) && ends[0] !== ends[1]) range = ` [${ends.map((end) => s.told(end).replace(/ %$/, "")).join(", ")}]`;
      }
      return row(`${line.dataset.name}: ${s.told(y)}${range}`, colour);
    });
    if (all > MOST) rows.push(row(`and ${all - MOST} more`));
    const near = [...chart.querySelectorAll("[data-at]")].filter((mark) => Math.abs(mark.dataset.at - x) < 4);
    rows.push(...near.map((mark) => row(mark.dataset.tip)));
    const [wx, wy] = inWindow(chart, x, Math.min(Math.max(height, top), bottom));
    show(wx, wy, [row(`${s.axis} ${s.place(x)}`), ...rows]);
  };
  const centre = (mark) => { const box = mark.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
  const readMark = (chart, mark) => {
    const group = begin(chart), box = mark.getBoundingClientRect(), [x, y] = centre(mark);
    const [left, top] = inChart(chart, box.left, box.top), [right, bottom] = inChart(chart, box.right, box.bottom);
    group.append(svg("rect", { x: left - 3, y: top - 3, width: right - left + 6, height: bottom - top + 6, rx: 4 }));
    show(x + box.width / 2 - 8, y, mark.dataset.tip.split("\n").map((text) => row(text)));
  };
  // Marks that stand somewhere; what spans a chart is read with its lines.
  const marks = (chart) => [...chart.querySelectorAll("[data-tip]:not([data-at])")];
  const plot = (chart, x, y) => {
    if (!chart.dataset.axes) return false;
    const { x: [left, right], y: [a, b] } = JSON.parse(chart.dataset.axes);
    return x >= left - 8 && x <= right + 8 && y >= Math.min(a, b) - 8 && y <= Math.max(a, b) + 8;
  };
  const pointed = (event) => {
    const chart = event.target.closest?.("svg[data-axes], svg[data-cells]");
    if (!chart) return hide();
    const exact = event.target.closest("[data-tip]:not([data-at])");
    if (exact) return readMark(chart, exact);
    const away = (mark) => { const [x, y] = centre(mark); return Math.hypot(x - event.clientX, y - event.clientY); };
    const near = chart.dataset.axes ? marks(chart).map((mark) => [away(mark), mark]).filter(([far]) => far < NEAR).sort((a, b) => a[0] - b[0])[0] : null;
    if (near) return readMark(chart, near[1]);
    const [x, y] = inChart(chart, event.clientX, event.clientY), all = plot(chart, x, y) ? places(chart) : [];
    if (!all.length) return hide();
    const best = all.reduce((best, at) => (Math.abs(at - x) < Math.abs(best - x) ? at : best));
    readAcross(chart, best, y);
  };
  addEventListener("pointermove", (event) => { if (event.buttons) hide(); else pointed(event); }, { passive: true });
  // A finger points where it touches.
  addEventListener("pointerup", (event) => event.pointerType === "touch" && pointed(event), { passive: true });
  document.documentElement.addEventListener("pointerleave", hide);
  // A focus that moves the page with it is told all the same.
  let moved = 0;
  addEventListener("scroll", () => performance.now() - moved > 300 && hide(), { passive: true, capture: true });

  // With keys: from left to right, in a map of cells up and down too.
  const step = (chart, by) => {
    const across = chart.dataset.axes ? places(chart) : [], order = (a, b) => centre(a)[0] - centre(b)[0];
    const all = across.length ? across : chart.dataset.cells ? marks(chart) : marks(chart).sort(order);
    if (!all.length) return;
    const next = shown === chart && place >= 0 ? place + by : 0;
    const at = Math.max(0, Math.min(next, all.length - 1));
    if (across.length) readAcross(chart, all[at], Infinity);
    else readMark(chart, all[at]);
    place = at;
  };
  addEventListener("focusin", (event) => {
    const node = event.target;
    if (!node.matches?.(":focus-visible")) return;
    moved = performance.now();
    if (node.matches("svg[data-axes], svg[data-cells]")) return step(node, 0);
    const about = node.matches("th[title], [data-about]") && (node.title || node.dataset.about), box = node.getBoundingClientRect();
    if (about) show(box.left, box.bottom + 24, [row(about)]);
  });
  addEventListener("focusout", hide);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const chart = event.target.closest?.("svg[data-axes], svg[data-cells]"), wide = +chart?.dataset.cells || 0;
    const by = chart && { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide, Home: -1e6, End: 1e6 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(chart, by);
  });
}
