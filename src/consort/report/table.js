// The table of all rows: columns, their texts, sorting and search.

const DASH = "\u2013";
const percent = v => v === null ? DASH : `${(100 * v).toFixed(2)}\u00a0%`;
const signed = v => (v < 0 ? "-" : "+") + Math.abs(100 * v).toFixed(2);
const points = v => v === null ? DASH : signed(v);
const decimal = v => v === null ? DASH : v.toFixed(3);
const milliseconds = v => v === null ? DASH : `${v < 99.95 ? v.toPrecision(3) : Math.round(v).toLocaleString("en-US")}\u00a0ms`;
const unsigned = v => (100 * v).toFixed(2);
const range = (low, high, one = unsigned) => low === null || high === null ? "" : `[${one(low)}, ${one(high)}]`;
const PREFIXES = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function scaled(v) {
  if (v === null) return DASH;
  const prefix = PREFIXES.find(([size]) => Math.abs(v) >= .9995 * size);
  if (!prefix) return String(Number(v.toPrecision(3)));
  const value = v / prefix[0];
  return `${value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)}\u00a0${prefix[1]}`;
}

// A round number on an axis: 50 M, not 50.0 M.
const tick = v => scaled(v).replace(/\.(\d*?)0+\u00a0/, (_, digits) => (digits && `.${digits}`) + "\u00a0");

// The columns a reader wants first, as [name, heading]; every other column of the rows follows under "all columns".
const FIRST_COLUMNS = [
  ["ensemble", "Ensemble"], ["accuracy_mean", "Accuracy"], ["gain_macs", "Gain, points"],
  ["versus_macs", "against the single"], ["macs", "MACs"], ["latency_parallel_ms", "Latency, parallel"],
  ["latency_serial_ms", "Latency, serial"], ["train_macs", "Training MACs"], ["val_accuracy_mean", "Validation"],
  ["nll_mean", "NLL"], ["ece", "ECE, chosen subset"], ["num_subsets", "Subsets"],
];
const WITH_RANGE = {accuracy_mean: "accuracy", gain_macs: "gain_macs"};

function cellText(row, name) {
  const value = row[name];
  if (value === null || value === undefined) return DASH;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (name === "num_subsets") return value.toLocaleString("en-US") + (row.subsets_sampled ? " sampled" : "");
  if (/^gain_/.test(name)) return points(value);
  if (/accuracy|^ece|disagreement/.test(name)) return percent(value);
  if (/_ms$/.test(name)) return milliseconds(value);
  if (/macs|flops|params/.test(name)) return scaled(value);
  return Number.isInteger(value) ? value.toLocaleString("en-US") : decimal(value);
}

const compare = (a, b) => typeof a === "string" ? a.localeCompare(b, "en", {numeric: true}) : a - b;

class Table {
  // wanted: the columns that are always there; sort: the one that it begins with, whose ties go by `byCost`.
  constructor(host, names, wanted = FIRST_COLUMNS, sort = {name: "macs", down: false}) {
    const first = wanted.filter(([name]) => names.includes(name)).map(([name, heading]) => ({name, heading}));
    const rest = names.filter(name => first.every(column => column.name !== name))
      .map(name => ({name, heading: name.replaceAll("_", " "), extra: true}));
    this.host = host;
    this.columns = [...first, ...rest];
    this.sort = sort;
    this.limit = 100;
    this.all = false;
  }

  // Unknown values stay last in both directions.
  sorted(rows) {
    const {name, down} = this.sort, direction = down ? -1 : 1;
    const known = rows.filter(row => row[name] !== null), unknown = rows.filter(row => row[name] === null);
    const byCost = (a, b) => a.macs - b.macs || compare(a.ensemble, b.ensemble);
    return [...known.sort((a, b) => direction * compare(a[name], b[name]) || byCost(a, b)), ...unknown.sort(byCost)];
  }

  draw(rows) {
    this.rows = rows;
    this.host.replaceChildren();
    const columns = this.columns.filter(column => this.all || !column.extra);
    const isNumeric = ({name}) => rows.some(row => typeof row[name] === "number");
    const numeric = new Set(columns.filter(isNumeric).map(column => column.name));
    const head = element(element(this.host, "thead"), "tr");
    for (const column of columns) this.heading(head, column, numeric.has(column.name));
    const body = element(this.host, "tbody");
    for (const row of this.sorted(rows).slice(0, this.limit)) {
      const line = element(body, "tr", row.pareto_macs ? {class: "on-front"} : {});
      for (const column of columns) this.cell(line, column, row, numeric.has(column.name));
    }
  }

  cell(line, {name, extra}, row, numeric) {
    const text = name === "ensemble" ? null : cellText(row, name);
    const cell = element(line, "td", {class: `${numeric ? "n" : ""}${extra ? " extra" : ""}`}, text);
    if (text === null) for (const [i, part] of row.ensemble.split(/(?<=\+) /).entries()) {
      if (i) cell.append(" ");
      element(cell, "span", {class: "whole"}, part);
    }
    const base = WITH_RANGE[name];
    if (!base || row[name] === null) return;
    const ends = range(row[`${base}_low`], row[`${base}_high`], base === "accuracy" ? unsigned : signed);
    element(cell, "span", {class: "range"}, ` ${ends}`);
  }

  heading(head, column, numeric) {
    const mine = this.sort.name === column.name;
    const classes = `${numeric ? "n" : ""}${column.extra ? " extra" : ""}`;
    const cell = element(head, "th", {class: classes, scope: "col", title: column.name});
    cell.setAttribute("aria-sort", mine ? (this.sort.down ? "descending" : "ascending") : "none");
    element(cell, "button", {type: "button"}, column.heading).addEventListener("click", () => {
      this.sort = {name: column.name, down: mine ? !this.sort.down : numeric};
      this.draw(this.rows);
      this.host.querySelector(`th[title="${column.name}"] button`).focus();
    });
  }
}
