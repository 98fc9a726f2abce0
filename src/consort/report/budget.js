// The answer within the budget that a reader moves: the rule of consort/answer/choice.py over the candidates in the page,
// which are in the order of the best on validation.

const SLACK = 1e-9, STEPS = 80;

class Chooser {
  constructor(offline) {
    Object.assign(this, offline);
    this.bits = Uint8Array.from(atob(offline.untold), character => character.charCodeAt(0));
  }

  fits(one, budget) {
    return Object.entries(budget).every(([cost, bound]) => one[cost] !== null && one[cost] <= bound * (1 + SLACK));
  }

  // Whether validation does not tell a candidate from the best: it is at most one standard error below it.
  isNear(i, best) {
    return Boolean(this.bits[best * this.bytesEach + (i >> 3)] & (128 >> (i & 7)));
  }

  // Places of the candidate, the best and the alternative; null where nothing fits.
  choose(budget) {
    const within = this.candidates.map((_, i) => i).filter(i => this.fits(this.candidates[i], budget));
    if (!within.length) return null;
    const isSingle = i => this.candidates[i].single, best = within[0], partner = within.find(isSingle);
    const floor = partner === undefined ? -Infinity : this.values[partner];
    const allowed = new Set(within.filter(i => this.values[i] >= floor && this.isNear(i, best)));
    const candidate = this.simplest.find(i => allowed.has(i));
    const alternative = isSingle(candidate) ? within.find(i => !isSingle(i)) : partner;
    return {candidate, best, alternative: alternative ?? null};
  }

  within(budget) {
    const parts = Object.entries(budget).map(([cost, bound]) => this.bounds[cost].replace("{}", boundText(cost, bound)));
    return parts.length ? `Within ${[parts.slice(0, -1).join(", "), parts.at(-1)].filter(Boolean).join(" and ")}`
      : "Without a bound on cost";
  }

  // What is said of a choice: the headline, and why it is this one.
  say({candidate, best, alternative}, budget) {
    const one = this.candidates[candidate];
    const against = alternative === null ? one.alone : this.pairs[`${candidate}-${alternative}`].text;
    return {text: `${this.within(budget)}: ${one.deploy} ${against}`, why: this.why(candidate, best)};
  }

  why(candidate, best) {
    const one = this.candidates[candidate], first = this.candidates[best], fewer = first.size - one.size;
    if (candidate === best) return one.why;
    const lead = this.values[best] - this.values[candidate], {scale, unit, least, most, asGood} = this.metric;
    const simpler = fewer > 0 ? `asks ${this.numbers[fewer] ?? fewer} network${fewer > 1 ? "s" : ""} fewer`
      : `costs ${one.macsText} MACs instead of ${first.macsText}`;
    const size = String(Number(Math.max(scale * lead, least).toPrecision(2)));
    if (lead <= 0) return `On validation it is ${asGood} ${first.name}, and ${simpler}.`;
    return `${capital(most)}, ${first.name}, is only ${size} ${unit}${size === "1" ? "" : "s"} better on validation `
      + `(too close to call on ${this.valImages.toLocaleString("en-US")} images); this ${simpler}.`;
  }
}

const capital = text => text[0].toUpperCase() + text.slice(1);

// Three digits, rounded up so that "within" stays true, without zeros behind the point.
function roundText(count) {
  const units = ["", " k", " M", " G", " T"];
  let unit = 0;
  for (; count >= 999.5 && unit < 4; unit++) count /= 1000;
  const power = 10 ** (count >= 100 || !unit ? 0 : count >= 10 ? 1 : 2);
  return `${Math.ceil(count * power - 1e-9) / power}${units[unit]}`;
}

function boundText(cost, bound) {
  if (cost === "serial_ms") return msText(bound);
  const text = roundText(bound);
  return cost === "bytes" ? `${text}${/\d$/.test(text) ? " B" : "B"}` : text;
}

const msText = ms => `${ms >= 99.95 ? Math.round(ms).toLocaleString("en-US") : Number(ms.toPrecision(3))} ms`;

// Bounds from the cheapest candidate to the dearest, in even steps of their logarithm, and none at the end; that of the
// report's headline among them.
function stopsOf(chooser, cost, start) {
  const known = chooser.candidates.map(one => one[cost]).filter(value => value !== null);
  const low = Math.min(...known), high = Math.max(...known);
  const up = value => { const unit = 10 ** (Math.floor(Math.log10(value)) - 2); return Math.ceil(value / unit - 1e-9) * unit; };
  const steps = Array.from({length: STEPS}, (_, i) => Number(up(low * (high / low) ** (i / (STEPS - 1))).toPrecision(6)));
  return [...new Set([...steps, start, Infinity])].sort((a, b) => a - b);
}

const KNOB_NAMES = {macs: "MACs", serial_ms: "milliseconds", bytes: "megabytes"};

class Knobs {
  constructor(host, chooser, changed) {
    this.knobs = Object.keys(chooser.bounds).map(cost => {
      const start = chooser.start[cost] ?? Infinity, stops = stopsOf(chooser, cost, start);
      const label = element(host, "label", {class: "knob"});
      element(label, "span", {}, KNOB_NAMES[cost]);
      const shown = element(label, "output", {for: `bound-${cost}`});
      const input = element(label, "input", {type: "range", min: 0, max: stops.length - 1, id: `bound-${cost}`});
      input.value = stops.indexOf(start);
      input.addEventListener("input", changed);
      return {cost, stops, input, shown};
    });
  }

  budget() {
    return Object.fromEntries(this.knobs.map(({cost, stops, input}) => [cost, stops[input.value]])
      .filter(([, bound]) => bound < Infinity));
  }

  show() {
    for (const {cost, stops, input, shown} of this.knobs) {
      const bound = stops[input.value];
      shown.textContent = bound === Infinity ? "no bound" : `at most ${boundText(cost, bound)}`;
      input.setAttribute("aria-valuetext", shown.textContent);
    }
  }
}

// A sentence in which no line ends inside a network's name or an interval, or between a number and its unit.
function sentence(host, cls, text) {
  const line = element(host, "p", {class: cls});
  const joined = text.replace(/(?<=\d) (?=(?:%|[kMGT]|ms|k?B|[MG]B|nats?|points?)(?!\w))/g, "\u00a0");
  for (const [i, part] of joined.split(/((?:[\w.]+(?:-[\w.]+)+|\[[-+\d., ]+\])[,;:.)]*)/).entries())
    if (i % 2) element(line, "span", {class: "whole"}, part);
    else line.append(part);
}

// A difference with its two intervals, each named; all are drawn on one scale.
function drawDifference(host, pair, {scale, level, metric}) {
  const inUnit = value => (value < 0 ? "-" : "+") + Math.abs(metric.scale * value).toFixed(metric.decimals);
  const percentLevel = `${Number((100 * level).toPrecision(3))}\u00a0%`;
  const drawn = [["these very networks, on other images like the test images", [pair.low, pair.high]],
    ["the same recipes trained again, on average over seeds", pair.anew]];
  for (const [words, ends] of drawn) {
    const line = element(host, "div", {class: "difference"});
    element(line, "span", {class: "words"}, words);
    if (!ends) { element(line, "span", {class: "number"}, pair.anewUnknown); continue; }
    const [low, high] = ends, direction = low > 0 ? "up" : high < 0 ? "down" : "open";
    const gain = element(line, "span", {class: `gain ${direction}`}), text = `${inUnit(pair.value)} ${range(low, high, inUnit)}`;
    const svg = element(gain, "svg", {viewBox: "0 0 140 20", width: 140, height: 20, role: "img", "aria-label": text});
    const x = value => (70 + 66 * Math.max(-1, Math.min(1, value / scale))).toFixed(1);
    element(svg, "path", {class: "zero", d: "M70,1V19"});
    element(svg, "path", {class: "range", d: `M${x(low)},10H${x(high)}`});
    element(svg, "circle", {r: 4, cx: x(pair.value), cy: 10});
    element(gain, "span", {class: "number"}, `${text} ${metric.unit}s (${percentLevel})`);
  }
}

function drawChoice(host, chooser, budget) {
  host.replaceChildren();
  const choice = chooser.choose(budget);
  if (!choice) return sentence(host, "decision", `${chooser.within(budget)} nothing fits. Allow more.`);
  const one = chooser.candidates[choice.candidate], {text, why} = chooser.say(choice, budget);
  sentence(host, "decision", text);
  for (const note of one.notes) element(host, "p", {class: "note"}, note);
  sentence(host, "why", why);
  if (choice.alternative !== null) {
    const other = chooser.candidates[choice.alternative];
    sentence(host, "small", `${chooser.metric.over} ${other.name}:`);
    drawDifference(host, chooser.pairs[`${choice.candidate}-${choice.alternative}`], chooser);
  }
  for (const line of [...one.promise, one.costs]) element(host, "p", {class: "small"}, line);
  const members = element(host, "p", {class: "small"}, "members: ");
  element(members, "code", {}, one.members.join(", "));
  element(element(host, "pre"), "code", {}, `consort export ${chooser.study}/${chooser.run} ${one.id} -o bundle`);
}

function moveBudget(section, offline) {
  const chooser = new Chooser(offline), host = section.querySelector("#chosen");
  const ends = Object.values(offline.pairs).flatMap(pair => [pair.low, pair.high, ...(pair.anew ?? [])]).map(Math.abs);
  chooser.scale = Math.max(...ends, 0) || .01;
  const update = () => { knobs.show(); drawChoice(host, chooser, knobs.budget()); };
  const knobs = new Knobs(section.querySelector("#bounds"), chooser, update);
  section.hidden = false;
  update();
  return chooser;
}

const chooser = data.offline ? moveBudget(field("budget"), data.offline) : null;
