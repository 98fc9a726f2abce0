"use strict";
// Scatter plots with lines, drawn as SVG at the width they are shown at, so that letters keep their size on a phone.
// A chart is {host, label, x, y, points, steps, front, diagonal, limit, dodge, ratio}; `limit` is an x that a line marks.
// An axis is {label, log, format, domain}, a point {x, y, low, high, style, hollow, size, count, line, text}: `line` joins
// points, `text` is what hovering says.
// `steps` of a chart are lines without points, {color, dashed, points: [[x, y], ...]}, which keep each y until the next x.

const MARKERS = [
  r => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
  r => `M${-r * .9},${-r * .9}h${r * 1.8}v${r * 1.8}h${-r * 1.8}Z`,
  r => `M0,${-r * 1.15}L${r * 1.1},${r * .85}H${-r * 1.1}Z`,
  r => `M0,${-r * 1.25}L${r * 1.25},0L0,${r * 1.25}L${-r * 1.25},0Z`,
  r => `M0,${r * 1.15}L${r * 1.1},${-r * .85}H${-r * 1.1}Z`,
  r => ((a, b) => `M${-a},${-a - b}h${2 * a}v${b}h${b}v${2 * a}h${-b}v${b}h${-2 * a}v${-b}h${-b}v${-2 * a}h${b}Z`)(r * .4, r * .7),
  r => `M0,${-r * 1.1}L${r},${-r * .55}V${r * .55}L0,${r * 1.1}L${-r},${r * .55}V${-r * .55}Z`,
];

// Colour class and marker of the i-th architecture; plot.py has the same rule.
const styleOf = i => i < 0 ? {color: "other", marker: MARKERS[0]}
  : {color: `a${i % 7}`, marker: MARKERS[(i + Math.floor(i / 7)) % 7]};

function element(parent, name, attributes = {}, text = null) {
  const svg = parent instanceof SVGElement || name === "svg";
  const result = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) result.setAttribute(key, value);
  if (text !== null) result.textContent = text;
  parent.append(result);
  return result;
}

function linearTicks([low, high], wanted) {
  const rough = (high - low) / Math.max(wanted, 1), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(m => m * power >= rough * .999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({length: last - first + 1}, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

// Sets of ticks of a logarithmic axis, the densest first: these multiples of every so many powers of ten.
function logTicks([low, high]) {
  const within = ([multiples, every]) => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low) / every) * every; power <= Math.log10(high); power += every)
      for (const m of multiples) if (m * 10 ** power >= low && m * 10 ** power <= high) ticks.push(m * 10 ** power);
    return ticks;
  };
  return [[[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], 1], [[1, 2, 3, 5, 7], 1], [[1, 2, 5], 1], [[1, 3], 1], [[1], 1], [[1], 2], [[1], 3],
    [[1], 6]].map(within).filter(set => set.length > 1);
}

// The most ticks whose labels leave each other room. Letters of plots are about 7 pixels wide.
function ticksOf(axis, map, wanted, upright) {
  const ends = [map.low, map.high], least = upright ? 28 : 48;
  const room = (a, b) => upright ? least : Math.max(least, 3.5 * (axis.format(a).length + axis.format(b).length) + 8);
  const apart = ticks => ticks.every((tick, i) => !i || Math.abs(map(tick) - map(ticks[i - 1])) >= room(tick, ticks[i - 1]));
  const linear = [wanted, wanted / 1.5, wanted / 2.5, wanted / 4, 1].map(count => linearTicks(ends, count));
  const sets = [...(axis.log ? logTicks(ends) : []), ...linear.filter(set => set.length > 1)];
  return sets.find(apart) ?? sets.at(-1) ?? [];
}

// A scale maps values to pixels; `values` it must show decide its ends where the axis does not.
function scale(axis, values, [from, to], wanted, upright = false) {
  const forth = axis.log ? Math.log10 : v => v;
  let [low, high] = axis.domain ?? [Math.min(...values), Math.max(...values)];
  if (!axis.domain) {
    const pad = (forth(high) - forth(low)) * .06 || (axis.log ? .15 : Math.abs(high) * .02 || 1);
    [low, high] = axis.log ? [10 ** (forth(low) - pad), 10 ** (forth(high) + pad)] : [low - pad, high + pad];
  }
  const map = value => from + (forth(value) - forth(low)) / (forth(high) - forth(low)) * (to - from);
  [map.low, map.high] = [low, high];
  map.ticks = ticksOf(axis, map, wanted, upright);
  return map;
}

function drawAxes(svg, chart, x, y, box) {
  for (const tick of y.ticks) {
    element(svg, "path", {class: "grid-line", d: `M${box.left},${y(tick)}H${box.right}`});
    element(svg, "text", {x: box.left - 7, y: y(tick) + 4, "text-anchor": "end"}, chart.y.format(tick));
  }
  for (const tick of x.ticks) {
    element(svg, "path", {class: "grid-line", d: `M${x(tick)},${box.top}V${box.bottom}`});
    element(svg, "text", {x: x(tick), y: box.bottom + 17, "text-anchor": "middle"}, chart.x.format(tick));
  }
  element(svg, "path", {class: "axis", d: `M${box.left},${box.bottom}H${box.right}`});
  element(svg, "text", {x: (box.left + box.right) / 2, y: box.bottom + 36, "text-anchor": "middle"}, chart.x.label);
  element(svg, "text", {x: 2, y: 11}, chart.y.label);
}

const path = points => "M" + points.map(p => `${p.px.toFixed(1)},${p.py.toFixed(1)}`).join("L");

function drawLines(svg, chart, y) {
  if (chart.front) {
    const front = chart.points.filter(p => p.front).sort((a, b) => a.x - b.x || a.y - b.y);
    if (front.length) element(svg, "path", {class: "front", d: path(front) + (front.length === 1 ? "h.1" : "")});
  }
  for (const p of chart.points) if (p.line && p.low !== null && p.high !== null)
    element(svg, "path", {class: `bar ${p.style.color}`, d: `M${p.px},${y(p.low)}V${y(p.high)}`});
  for (const line of new Set(chart.points.map(p => p.line).filter(Boolean))) {
    const members = chart.points.filter(p => p.line === line);
    element(svg, "path", {class: `line ${members[0].style.color}`, d: path(members)});
  }
}

function drawSteps(svg, steps, x, y) {
  for (const {color, dashed, points} of steps) {
    const [[firstX, firstY], ...rest] = points;
    const d = `M${x(firstX)},${y(firstY)}` + rest.map(([px, py]) => `H${x(px)}V${y(py)}`).join("");
    element(svg, "path", {class: `line ${color}`, ...(dashed && {"stroke-dasharray": "5 4"}), d});
  }
}

function drawPoint(svg, chart, p, y) {
  const group = element(svg, "g", {
    class: `point ${p.style.color}${p.hollow ? " hollow" : ""}`, transform: `translate(${p.px.toFixed(1)},${p.py.toFixed(1)})`,
    tabindex: -1, role: "img", "aria-label": p.text.join("; "),
  });
  if (p.low !== null && p.high !== null)
    element(group, "path", {class: "bar own", d: `M0,${(y(p.low) - p.py).toFixed(1)}V${(y(p.high) - p.py).toFixed(1)}`});
  element(group, "path", {class: "mark", d: p.style.marker(p.size)});
  p.node = group;
}

// Member counts beside the points, where no other count or point is in the way.
function drawCounts(svg, points) {
  const taken = points.map(p => ({x: p.px, y: p.py, w: p.size, h: p.size}));
  for (const p of points.filter(p => p.count)) {
    const width = 4 * String(p.count).length;
    const free = [[-10, -10], [10, 12], [-10, 12], [10, -10]]
      .map(([dx, dy]) => ({x: p.px + dx, y: p.py + dy, w: width, h: 6}))
      .find(at => taken.every(t => Math.abs(t.x - at.x) > t.w + at.w || Math.abs(t.y - at.y) > t.h + at.h));
    if (!free) continue;
    taken.push(free);
    const at = {x: free.x, y: free.y + 4, "text-anchor": "middle", "aria-hidden": true};
    element(svg, "text", {class: `count ${p.style.color}`, ...at}, p.count);
  }
}

const emptyInterval = p => [p.low ?? p.y, p.high ?? p.y];

function draw(chart, width, ratio = chart.ratio ?? .56) {
  chart.host.replaceChildren();
  if (!chart.points.length) return element(chart.host, "p", {class: "empty"}, chart.empty);
  const height = Math.round(Math.max(chart.square ? width + 20 : 300, Math.min(width * ratio, 540)));
  const box = {left: 44, right: width - 20, top: 22, bottom: height - 42};
  const shift = p => (chart.dodge ?? 0) * ((p.members ?? 1) - 1);
  const end = box.right - Math.max(...chart.points.map(shift));
  const x = scale(chart.x, chart.points.map(p => p.x), [box.left, end], (end - box.left) / 62);
  const shown = chart.points.flatMap(p => p.line ? emptyInterval(p) : [p.y]);
  const y = scale(chart.y, shown, [box.bottom, box.top], (box.bottom - box.top) / 42, true);
  for (const p of chart.points) {
    p.px = x(p.x) + shift(p);
    p.py = y(p.y);
  }
  const svg = element(chart.host, "svg", {viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": chart.label});
  drawAxes(svg, chart, x, y, box);
  if (chart.limit > x.low && chart.limit < x.high)
    element(svg, "path", {class: "diagonal", d: `M${x(chart.limit)},${box.top}V${box.bottom}`});
  if (chart.diagonal)
    element(svg, "path", {class: "diagonal", d: `M${box.left},${box.bottom}L${box.right},${box.top}`});
  drawSteps(svg, chart.steps ?? [], x, y);
  drawLines(svg, chart, y);
  for (const p of chart.points) drawPoint(svg, chart, p, y);
  drawCounts(svg, chart.points);
  listen(svg, chart.points, width);
}

const tooltip = document.getElementById("tooltip");
let active = null;

function show(p) {
  hide();
  active = p.node;
  active.classList.add("active");
  tooltip.replaceChildren();
  for (const line of p.text) element(tooltip, "div", {}, line);
  tooltip.hidden = false;
  place();
}

// Above the active point where there is room, else below it; it follows when the page scrolls.
function place() {
  if (!active) return;
  const at = active.querySelector(".mark").getBoundingClientRect(), own = tooltip.getBoundingClientRect();
  const rightmost = document.documentElement.clientWidth - own.width - 8;
  const left = Math.min(Math.max(at.left + at.width / 2 - own.width / 2, 8), rightmost);
  tooltip.style.left = `${left}px`;
  tooltip.style.top = `${at.top - own.height - 10 >= 8 ? at.top - own.height - 10 : at.bottom + 10}px`;
}

function hide() {
  active?.classList.remove("active");
  active = null;
  tooltip.hidden = true;
}

// The nearest point within reach answers to mouse and finger; a plot is one Tab stop, arrow keys step through it.
function listen(svg, points, width) {
  const order = [...points].sort((a, b) => a.px - b.px || a.py - b.py);
  order[0].node.setAttribute("tabindex", 0);
  const nearest = event => {
    const rect = svg.getBoundingClientRect(), ratio = width / rect.width;
    const [px, py] = [(event.clientX - rect.left) * ratio, (event.clientY - rect.top) * ratio];
    const distance = p => Math.hypot(p.px - px, p.py - py);
    const best = points.reduce((a, b) => distance(b) <= distance(a) ? b : a);
    return distance(best) <= (event.pointerType === "touch" ? 30 : 16) ? best : null;
  };
  const answer = event => { const p = nearest(event); if (!p) hide(); else if (p.node !== active) show(p); };
  svg.addEventListener("pointermove", event => event.pointerType !== "touch" && answer(event));
  svg.addEventListener("pointerleave", event => event.pointerType !== "touch" && hide());
  svg.addEventListener("click", answer);
  // On the points, not on the svg: chromium makes an svg with a focus listener a Tab stop of its own.
  for (const p of points) {
    p.node.addEventListener("focus", () => show(p));
    p.node.addEventListener("blur", hide);
  }
  svg.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === "Escape") return hide();
    if (!step) return;
    event.preventDefault();
    const now = order.findIndex(p => p.node === event.target), next = order[(now + step + order.length) % order.length];
    order[now].node.setAttribute("tabindex", -1);
    next.node.setAttribute("tabindex", 0);
    next.node.focus();
  });
}
document.addEventListener("click", event => event.target.closest(".plot svg") ?? hide());
document.addEventListener("scroll", place, {passive: true, capture: true});

// Draws again when the width changes, and otherwise on paper.
function redrawWithThePage(drawCharts, drawForPaper) {
  let drawnAt = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth === drawnAt) return;
    drawnAt = document.body.clientWidth;
    drawCharts();
  }).observe(document.body);
  addEventListener("beforeprint", drawForPaper);
  addEventListener("afterprint", drawCharts);
}
