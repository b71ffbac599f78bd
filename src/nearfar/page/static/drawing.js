// How the timeline is drawn: few SVG elements however many points there are, so that it is quick.
import { el, fill } from "./dom.js";
import { decades, limit, line, spanOf, times } from "./scales.js";
import { day, small } from "./shown.js";
import { alarmWord, shape } from "./states.js";
import { t } from "./words.js";

export const MARGIN = { left: 50, right: 14 };
const LANE = 20; // px of alarms, above
const HEIGHT = { low: 190, high: 270 }; // px of p-values, on a phone and on a desk
const STRIP = 14; // px of each strip below
const DAY = 86400000; // ms
const AXIS = 24; // px of times

export function draw(chart) {
  const { data, width } = chart;
  const [left, right] = chart.inner;
  const tall = width < 560 ? HEIGHT.low : HEIGHT.high;
  const top = LANE + 6;
  const floor = top + tall;
  const strips = stripsOf(data.points);
  const bottom = floor + 8 + strips.length * STRIP;
  const most = decades(Math.min(1, ...data.points.p.filter((p) => p !== null)), data.rate);
  const y = line(0, most, floor, top + 4);
  const shown = { chart, left, right, top, floor, bottom, y, most };
  const height = bottom + AXIS;
  const svg = el("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    patterns(left, right, height), grid(shown), alarms(shown), threshold(shown), points(shown),
    strips.map(([name, word, seen], row) => strip(shown, name, word, seen, floor + 8 + row * STRIP)),
    picked(shown), chosen(shown));
  fill(chart.canvas, svg);
  fill(chart.legend, legend(chart));
  fill(chart.sum, summary(chart));
}

function patterns(left, right, height) {
  const hatch = (id, d) => el("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse" }, el("path", { d }));
  return el("defs", {},
    el("clipPath", { id: "inside" }, el("rect", { x: left, y: 0, width: right - left, height })),
    hatch("hatch-acknowledged", "M0 7 7 0M-1 1 1-1M6 8 8 6"), hatch("hatch-shelved", "M1.5 1.5h.01M5 5h.01"),
    hatch("hatch-cleared", "M0 3.5h7"));
}

function grid({ chart, left, right, top, floor, bottom, y, most }) {
  const every = most > 6 ? 2 : 1;
  const ps = Array.from({ length: Math.floor(most / every) + 1 }, (_, i) => i * every);
  const marks = times(chart.since, chart.until, right - left);
  return el("g", { class: "grid" },
    el("path", { d: ps.map((n) => `M${left} ${y(n)}H${right}`).join("") + marks.map(([at]) => `M${chart.toX(at)} ${top}V${bottom}`).join("") }),
    ps.map((n) => el("text", { x: left - 8, y: y(n) + 4, "text-anchor": "end" }, small(10 ** -n))),
    el("text", { x: left - 8, y: 14, class: "axis", "text-anchor": "end" }, "p"),
    marks.map(([at, text]) => el("text", { x: chart.toX(at), y: bottom + 17, "text-anchor": "middle" }, text)),
    marks.length < 3 && !marks.some(([at, text]) => text === day(at)) && el("text", { x: left, y: bottom + 17, class: "axis" }, day(chart.since)));
}

// Alarms: a band over all for the eye, and above it a bar with its word and its own pattern.
function alarms({ chart, left, right, floor }) {
  return el("g", { "clip-path": "url(#inside)" }, chart.data.alarms.map((alarm) => {
    const [begin, end] = spanOf(alarm, lastOf(chart.data));
    const from = chart.toX(begin);
    const to = Math.max(from + 3, chart.toX(end));
    if (to < left || from > right) return null;
    const seen = Math.max(left, from);
    const room = Math.min(right, to) - seen;
    const word = `#${alarm.id} ${alarmWord(alarm)}`;
    return el("g", { class: `span ${alarm.kind} ${alarm.state}` },
      el("rect", { class: "band", x: from, y: LANE, width: to - from, height: floor - LANE }),
      el("rect", { class: "lane", x: from, y: 1, width: to - from, height: LANE - 3, rx: 4 }),
      room > word.length * 6.6 + 10 && el("text", { x: seen + 6, y: 14 }, word),
      el("title", { svg: true }, `${word}: ${alarm.told}`));
  }));
}

function threshold({ chart, left, right, y }) {
  const { rate, points } = chart.data;
  const p = limit(rate, points.p.filter((one, i) => points.anomalous[i] === points.judged[i] && one !== null));
  if (!p) return null;
  const at = y(-Math.log10(p));
  return el("g", { class: "threshold" }, el("path", { d: `M${left} ${at}H${right}` }),
    el("text", { x: left + 6, y: at - 5 }, t("chart.threshold", { p: small(p) })));
}

function points({ chart, y, most }) {
  const { at, p, anomalous } = chart.data.points;
  const from = chart.since - 1000;
  let fine = "";
  let strange = "";
  for (let i = 0; i < at.length; i++) {
    if (p[i] === null || at[i] < from || at[i] > chart.until) continue;
    const x = chart.toX(at[i]).toFixed(1);
    const v = y(Math.min(most, -Math.log10(Math.max(p[i], 1e-12)))).toFixed(1);
    if (anomalous[i]) strange += `M${x} ${v - 4.6}l4.6 8h-9.2z`;
    else fine += `M${x} ${v}h.01`;
  }
  return el("g", { "clip-path": "url(#inside)" }, el("path", { class: "fine", d: fine }), el("path", { class: "strange", d: strange }));
}

function stripsOf(points) {
  const all = [["idle", t("chart.idle"), points.idle], ["unjudged", t("chart.unjudged"), points.unjudged], ["faults", t("chart.faults"), points.faults]];
  return all.filter(([, , seen]) => seen.some((n) => n > 0));
}

// A strip is as wide as what it stands for: to the next point, unless a gap comes first.
function strip({ chart, left, right }, name, word, seen, top) {
  const { at } = chart.data.points;
  const usual = chart.data.step_ms ?? gap(at);
  let d = "";
  for (let i = 0; i < at.length; i++) {
    if (!seen[i] || at[i] < chart.since - usual || at[i] > chart.until) continue;
    const from = chart.toX(at[i]);
    const to = chart.toX(Math.min(at[i + 1] ?? Infinity, at[i] + 1.5 * usual));
    d += `M${from.toFixed(1)} ${top + 6}H${Math.max(from + 2, to).toFixed(1)}`;
  }
  return el("g", { class: `strip ${name}` },
    el("path", { class: "rail", d: `M${left} ${top + 6}H${right}` }), el("path", { "clip-path": "url(#inside)", d }),
    el("title", { svg: true }, word));
}

function gap(at) {
  const gaps = at.slice(1).map((one, i) => one - at[i]).sort((a, b) => a - b);
  return gaps[gaps.length >> 1] ?? 10000;
}

function picked({ chart, top, bottom }) {
  if (!chart.picked) return null;
  const [from, to] = chart.picked;
  return el("rect", { class: "picked", x: from, y: top, width: to - from, height: bottom - top });
}

function chosen({ chart, y, top, bottom, floor, most }) {
  const { at, p } = chart.data.points;
  const when = at[chart.chosen];
  if (when === undefined || when < chart.since || when > chart.until) return null;
  const x = chart.toX(when);
  const value = p[chart.chosen];
  return el("g", { class: "chosen" }, el("path", { d: `M${x} ${top}V${bottom}` }),
    el("circle", { cx: x, cy: value === null ? floor : y(Math.min(most, -Math.log10(Math.max(value, 1e-12)))), r: 6.5 }));
}

// Alarms of which a part is seen.
function within({ data, since, until }) {
  return data.alarms.filter((one) => {
    const [from, to] = spanOf(one, lastOf(data));
    return from <= until && to >= since;
  });
}

// Until when an alarm that stands is drawn: to now, or to the last clip where these are of another day.
const lastOf = (data) => (data.last_ms && Date.now() - data.last_ms > DAY ? data.last_ms : Date.now());

function legend(chart) {
  const { data } = chart;
  const mark = (name, word) => el("span", { class: name }, el("i", { class: "swatch" }), word);
  return [
    mark("fine", t("chart.fine")), el("span", { class: "strange" }, shape("alarm"), t("chart.strange")),
    el("span", {}, t("chart.least")),
    ...stripsOf(data.points).map(([name, word]) => mark(name, word)),
    ...[...new Set(within(chart).map((one) => one.state))].map((state) =>
      el("span", { class: `span ${state}` }, el("i", { class: "swatch" }), `${t("chart.alarms")}: ${alarmWord({ state })}`)),
  ];
}

function summary(chart) {
  const { data, since, until } = chart;
  const { points, rate } = data;
  const total = { judged: 0, anomalous: 0, idle: 0, unjudged: 0, faults: 0 };
  points.at.forEach((at, i) => {
    if (at >= since - (data.step_ms ?? 0) && at <= until) for (const name of Object.keys(total)) total[name] += points[name][i];
  });
  const { judged, anomalous } = total;
  if (!judged && !total.idle && !total.unjudged) return t("chart.none");
  const rest = { idle: total.idle, unjudged: total.unjudged, faults: total.faults, alarms: within(chart).length };
  return [
    t("chart.sum", { n: judged, bad: anomalous, share: share(judged ? anomalous / judged : 0), rate: share(rate ?? 0) }),
    ...Object.entries(rest).filter(([, n]) => n > 0).map(([name, n]) => ` · ${t(`chart.sum.${name}`, { n })}`),
  ];
}

const share = (value) => `${small(100 * value)}\u202f%`;
