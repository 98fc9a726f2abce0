// What each plot of a search shows, and its table of trials.

const data = JSON.parse(document.getElementById("data").textContent);
const field = id => document.getElementById(id);
const several = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const times100 = v => v === null ? null : 100 * v;
const kinds = Object.keys(data.kinds);
const styleOfKind = kind => styleOf(kinds.indexOf(kind));
const rows = data.rows.map(values => Object.fromEntries(data.columns.map((name, i) => [name, values[i]])));
for (const row of rows) row.ensemble = row.networks;
const present = kinds.filter(kind => rows.some(row => row.kind === kind));

const TRIAL_COLUMNS = [
  ["ensemble", "Networks"], ["kind", "Kind"], ["sampler", "Sampler"], ["number", "Trial"], ["reward", "Reward"],
  ["accuracy", "Accuracy, validation"], ["parallel_latency_ms", "Latency, parallel"],
  ["serial_latency_ms", "Latency, serial"], ["macs", "MACs"], ["params", "Parameters"], ["state", "State"],
];

function describe(row) {
  return [
    row.networks,
    `${row.sampler}, trial ${row.number + 1} for ${data.kinds[row.kind]}`,
    `reward ${decimal(row.reward)}, accuracy ${percent(row.accuracy)} ${range(row.accuracy_low, row.accuracy_high)}`,
    `latency ${milliseconds(row.parallel_latency_ms)} parallel, ${milliseconds(row.serial_latency_ms)} serial`,
    `${scaled(row.macs)} MACs, ${scaled(row.params)} parameters`,
  ];
}

const styleOfRow = row => row.control ? {...styleOfKind(row.kind), color: "other"} : styleOfKind(row.kind);

function rewardChart(kind) {
  const figure = element(field("rewards"), "figure", {"data-kind": kind});
  element(figure, "h3", {}, data.kinds[kind]);
  const shown = rows.filter(row => row.kind === kind && row.reward !== null && row.reward >= data.floor);
  return {
    host: element(figure, "div", {class: "plot"}), label: `Reward over trials, ${data.kinds[kind]}`, ratio: .9,
    x: {label: "trials", format: v => Number.isInteger(v) ? String(v) : "", domain: [0, data.trials + 1]},
    y: {label: "reward", format: v => String(Number(v.toPrecision(3))), domain: data.rewards},
    empty: "No trial has ended well yet.",
    steps: data.curves.filter(curve => curve.kind === kind && curve.points.length).map(curve => ({
      color: curve.control ? "other" : styleOfKind(kind).color, dashed: curve.control,
      points: curve.points.map(([x, y]) => [x, Math.max(y, data.floor)]),
    })),
    points: shown.map(row => ({
      x: row.number + 1, y: row.reward, low: null, high: null, size: 3, hollow: true, style: styleOfRow(row),
      text: describe(row),
    })),
  };
}

function frontChart(column) {
  const figure = field("plot-front");
  const mark = column === "parallel_latency_ms" ? "front_parallel" : "front_serial";
  const shown = rows.filter(row => row.accuracy !== null && row[column] !== null)
    .sort((a, b) => a[mark] - b[mark] || a[column] - b[column]);
  legend(figure.querySelector(".legend"), present);
  return {
    host: figure.querySelector(".plot"), label: figure.querySelector("h3").textContent, limit: data.target,
    x: {label: "milliseconds (log scale)", log: true, format: v => String(Number(v.toPrecision(3)))},
    y: {label: "validation accuracy, %", format: String}, empty: "No trial has ended well yet.",
    points: shown.map(row => ({
      x: row[column], y: times100(row.accuracy), low: times100(row.accuracy_low), high: times100(row.accuracy_high),
      style: row[mark] ? styleOfKind(row.kind) : styleOfRow(row), hollow: !row[mark], size: row[mark] ? 4.5 : 3,
      line: row[mark] ? row.kind : null, text: describe(row),
    })),
  };
}

function winnersChart() {
  const figure = field("plot-winners"), column = field("latency").value;
  legend(figure.querySelector(".legend"), data.winners.map(row => row.kind));
  return {
    host: figure.querySelector(".plot"), label: figure.querySelector("h3").textContent, ratio: .4, limit: data.target,
    x: {label: "milliseconds (log scale)", log: true, format: v => String(Number(v.toPrecision(3)))},
    y: {label: "test accuracy, %", format: String}, empty: "The latency of the winners is not known.",
    points: data.winners.filter(row => row[column] !== null).map(row => ({
      x: row[column], y: times100(row.accuracy), low: times100(row.low), high: times100(row.high), size: 6,
      style: styleOfKind(row.kind), line: row.kind,
      text: [row.ensemble, data.kinds[row.kind], `accuracy ${percent(row.accuracy)} ${range(row.low, row.high)}`,
        `latency ${milliseconds(row.parallel_latency_ms)} parallel, ${milliseconds(row.serial_latency_ms)} serial`,
        `${scaled(row.macs)} MACs`],
    })),
  };
}

function legend(host, shown) {
  host.replaceChildren();
  for (const kind of shown) {
    const item = element(host, "span");
    const svg = element(item, "svg", {width: 20, height: 14, viewBox: "-10 -7 20 14", "aria-hidden": true});
    element(svg, "path", {class: `mark ${styleOfKind(kind).color}`, d: styleOfKind(kind).marker(5)});
    item.append(data.kinds[kind]);
  }
}

const table = new Table(field("table"), ["ensemble", ...data.columns.filter(name => name !== "networks")], TRIAL_COLUMNS,
  {name: "reward", down: true});
const rewardCharts = present.map(rewardChart);
let charts = [];

function drawCharts() {
  hide();
  for (const chart of charts) draw(chart, chart.host.clientWidth);
}

function drawForPaper() {
  for (const chart of charts) draw(chart, rewardCharts.includes(chart) ? 215 : 680);
}

function update() {
  charts = [...rewardCharts, frontChart(field("latency").value), ...(data.winners.length ? [winnersChart()] : [])];
  drawCharts();
}

function updateTable() {
  const words = field("find").value.toLowerCase().trim();
  const found = rows.filter(row => row.networks.toLowerCase().includes(words));
  table.all = field("all-columns").checked;
  table.draw(found);
  field("more").hidden = found.length <= table.limit;
  field("row-count").textContent = several(found.length, "trial");
}

field("controls").addEventListener("change", update);
field("find").addEventListener("input", updateTable);
field("all-columns").addEventListener("change", updateTable);
field("more").addEventListener("click", () => { table.limit = Infinity; updateTable(); });
for (const form of document.forms) form.addEventListener("submit", event => event.preventDefault());
field("latency").value = data.latency;
update();
updateTable();

redrawWithThePage(drawCharts, drawForPaper);
