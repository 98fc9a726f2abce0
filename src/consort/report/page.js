// What each plot shows, and the controls above them.

const data = JSON.parse(document.getElementById("data").textContent);
const rows = data.rows.map(values => Object.fromEntries(data.columns.map((name, i) => [name, values[i]])));
const field = id => document.getElementById(id);
const architectureOf = label => label.slice(label.indexOf(" x ") + 3);
const placeOf = architecture => data.architectures.indexOf(architecture);
const several = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const times100 = v => v === null ? null : 100 * v;

const LATENCY = {
  label: "milliseconds (log scale)", format: v => String(Number(v.toPrecision(3))),
  empty: "The latency of these ensembles is not known, so this plot is left out.",
};
const COSTS = [
  {id: "plot-macs", cost: "macs", budget: "macs", front: "pareto_macs",
    label: "MACs for one image (log scale)", format: tick, empty: "There is no ensemble to show."},
  {id: "plot-latency-parallel", cost: "latency_parallel_ms", budget: "latency_parallel", front: "pareto_latency_parallel",
    dodge: 5, ...LATENCY},
  {id: "plot-latency-serial", cost: "latency_serial_ms", budget: "latency_serial", front: "pareto_latency_serial",
    ...LATENCY},
  {id: "plot-train-macs", cost: "train_macs", budget: "train_macs", front: "pareto_train_macs",
    label: "training MACs (log scale)", format: tick,
    empty: "The training cost of these ensembles is not known, so this plot is left out."},
];

// The lines of a point's tooltip.
function describe(row, budget) {
  const subsets = several(row.num_subsets, row.subsets_sampled ? "sampled subset" : "subset");
  const [versus, gain] = [row[`versus_${budget}`], row[`gain_${budget}`]];
  const gainRange = range(row[`gain_${budget}_low`], row[`gain_${budget}_high`], signed);
  return [
    row.ensemble,
    `accuracy ${percent(row.accuracy_mean)} ${range(row.accuracy_low, row.accuracy_high)}`.trim(),
    `mean of ${subsets} of seeds` + (row.accuracy_sd === null ? "" : `, sd ${times100(row.accuracy_sd).toFixed(2)}`),
    `${scaled(row.macs)} MACs, ${scaled(row.params)} parameters`,
    row.latency_serial_ms === null ? "latency unknown"
      : `latency ${milliseconds(row.latency_parallel_ms)} parallel, ${milliseconds(row.latency_serial_ms)} serial`,
    row.train_macs ? `${scaled(row.train_macs)} MACs to train` : "training cost unknown",
    gain === null ? "" : `${signed(gain)} points ${gainRange} against ${versus}, the best single that costs no more`,
  ].filter(Boolean);
}

function costPoint(row, spec) {
  const mixed = row.kind === "mixed", architecture = architectureOf(row.ensemble);
  return {
    x: row[spec.cost], y: times100(row.accuracy_mean), low: times100(row.accuracy_low), high: times100(row.accuracy_high),
    style: styleOf(mixed ? -1 : placeOf(architecture)), hollow: mixed, size: mixed ? 3 : 5, members: row.num_members,
    count: mixed ? null : row.num_members, line: mixed ? null : architecture, front: Boolean(row[spec.front]),
    text: describe(row, spec.budget),
  };
}

// Mixed ensembles first, so that the lines lie over them.
const mixedFirst = (a, b) => (a.kind !== "mixed") - (b.kind !== "mixed") || a.num_members - b.num_members;

function costChart(spec, chosen) {
  const figure = field(spec.id);
  return {
    host: figure.querySelector(".plot"), label: figure.querySelector("h3").textContent,
    x: {label: spec.label, log: true, format: spec.format}, y: {label: "test accuracy, %", format: String},
    points: chosen.filter(row => row[spec.cost] > 0).sort(mixedFirst).map(row => costPoint(row, spec)),
    front: spec.front, dodge: spec.dodge, empty: spec.empty,
  };
}

function legend(host, entries) {
  host.replaceChildren();
  for (const {style, hollow, front, name} of entries) {
    const item = element(host, "span", {class: hollow ? "hollow" : ""});
    const svg = element(item, "svg", {width: 20, height: 14, viewBox: "-10 -7 20 14", "aria-hidden": true});
    if (front) element(svg, "path", {class: "front", d: "M-5,0H5"});
    else element(svg, "path", {class: `mark ${style.color}`, d: style.marker(hollow ? 3 : 5)});
    item.append(name);
  }
}

function costLegend(chart) {
  const present = new Set(chart.points.map(p => p.line).filter(Boolean));
  const entries = data.architectures.filter(name => present.has(name)).map(name => ({name, style: styleOf(placeOf(name))}));
  if (chart.points.some(p => p.hollow)) entries.push({name: "mixed", style: styleOf(-1), hollow: true});
  if (chart.points.some(p => p.front)) entries.push({name: "front, chosen on validation", front: true});
  legend(chart.host.previousElementSibling, entries);
}

function reliabilityChart([label, bins]) {
  const total = bins.count.reduce((a, b) => a + b, 0);
  const full = bins.count.map((count, i) => ({count, confidence: bins.confidence[i], accuracy: bins.accuracy[i]}))
    .filter(bin => bin.count > 0 && bin.confidence !== null && bin.accuracy !== null);
  const ece = full.reduce((sum, bin) => sum + bin.count * Math.abs(bin.accuracy - bin.confidence), 0) / total;
  const figure = element(field("reliability"), "figure");
  element(figure, "h3", {}, full.length ? `${label} \u00b7 ECE\u00a0${percent(ece)}` : label);
  const axis = name => ({label: name, domain: [0, 100], format: String});
  return {
    host: element(figure, "div", {class: "plot"}), label: `Reliability of ${label}`, diagonal: true, square: true,
    x: axis("confidence, %"), y: axis("right, %"), empty: "No image was counted, so this plot is left out.",
    points: full.map(bin => ({
      x: times100(bin.confidence), y: times100(bin.accuracy), low: null, high: null, line: label,
      size: 2.5 + 5 * Math.sqrt(bin.count / total), style: {...styleOf(placeOf(architectureOf(label))), marker: MARKERS[0]},
      text: [label, `${several(bin.count, "image")} with confidence around ${percent(bin.confidence)}`,
        `${percent(bin.accuracy)} of them right`],
    })),
  };
}

function diversityChart() {
  const host = field("plot-diversity").querySelector(".plot");
  const shown = data.diversity.filter(pair => pair.disagreement !== null && pair.error_correlation !== null);
  const place = pair => pair.same_architecture ? placeOf(data.memberArchitectures[pair.a]) : -1;
  const present = new Set(shown.map(place));
  const entries = data.architectures.filter(name => present.has(placeOf(name)))
    .map(name => ({name: `two ${name}`, style: styleOf(placeOf(name))}));
  if (present.has(-1)) entries.push({name: "two architectures", style: styleOf(-1), hollow: true});
  legend(host.previousElementSibling, entries);
  return {
    host, label: "Disagreement and error correlation of pairs of members", ratio: .46,
    x: {label: "disagreement, % of test images", format: String}, y: {label: "error correlation", format: String},
    empty: "There are no two members to compare, so this plot is left out.",
    points: shown.map(pair => ({
      x: times100(pair.disagreement), y: pair.error_correlation, low: null, high: null, size: 4,
      style: styleOf(place(pair)), hollow: !pair.same_architecture,
      text: [`${pair.a} and ${pair.b}`, `disagree on ${percent(pair.disagreement)} of the test images`,
        `error correlation ${decimal(pair.error_correlation)}`],
    })).sort((a, b) => b.hollow - a.hollow),
  };
}

const table = new Table(field("table"), data.columns.filter(name => !["combine", "test_set"].includes(name)));
const fixedCharts = [...Object.entries(data.reliability).map(reliabilityChart), diversityChart()];
let charts = [];

function drawCharts() {
  hide();
  for (const chart of charts) draw(chart, chart.host.clientWidth);
}

// A printed page is about 680 CSS pixels wide; page.css sets plots side by side there too.
function drawForPaper() {
  for (const chart of charts) draw(chart, chart.square ? 210 : chart.host.closest(".pair") ? 325 : 680, .44);
}

function chosenRows() {
  return rows.filter(row => row.combine === field("combine").value && row.test_set === field("test-set").value);
}

function update() {
  const chosen = chosenRows(), plotted = chosen.filter(row => row.kind !== "mixed" || field("mixed").checked);
  charts = [...COSTS.map(spec => costChart(spec, plotted)), ...fixedCharts];
  charts.slice(0, COSTS.length).forEach(costLegend);
  drawCharts();
  updateTable();
}

function updateTable() {
  const words = field("find").value.toLowerCase().trim();
  const found = chosenRows().filter(row => row.ensemble.toLowerCase().includes(words));
  table.all = field("all-columns").checked;
  table.draw(found);
  field("more").hidden = found.length <= table.limit;
  const testSet = field("test-set").value, where = testSet === "test" ? "test split" : `test set ${testSet}`;
  field("row-count").textContent = `${several(found.length, "ensemble")}, ${field("combine").value} mean, ${where}`;
}

function fill(select, values, first) {
  for (const value of [...new Set([first, ...values])]) element(select, "option", {value}, value);
  select.parentElement.hidden = select.options.length < 2;
}

fill(field("combine"), rows.map(row => row.combine), data.combine);
fill(field("test-set"), rows.map(row => row.test_set), "test");
field("mixed").parentElement.hidden = !rows.some(row => row.kind === "mixed");
field("controls").addEventListener("change", update);
field("find").addEventListener("input", updateTable);
field("all-columns").addEventListener("change", updateTable);
field("more").addEventListener("click", () => { table.limit = Infinity; updateTable(); });
for (const form of document.forms) form.addEventListener("submit", event => event.preventDefault());
update();

redrawWithThePage(drawCharts, drawForPaper);
