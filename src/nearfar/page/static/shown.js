// Dates, times and numbers as the language has them.
import { el } from "./dom.js";
import { language, t } from "./words.js";

const made = new Map();

// The reader's own kind of a language (en-GB) if the browser names one, for its dates.
function locale() {
  return navigator.languages.find((one) => one.split("-")[0] === language) ?? language;
}

function one(Kind, options) {
  const key = Kind.name + locale() + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Kind(locale(), options));
  return made.get(key);
}

const date = (options) => (at) => one(Intl.DateTimeFormat, options).format(typeof at === "string" ? new Date(at) : at);

export const moment = date({ dateStyle: "medium", timeStyle: "medium" });
export const onDay = date({ dateStyle: "medium" });
export const atTime = date({ timeStyle: "medium" });
export const clock = date({ hour: "2-digit", minute: "2-digit" });
export const seconds = date({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const day = date({ day: "numeric", month: "short" });
export const month = date({ month: "short", year: "numeric" });
const weekday = date({ weekday: "short", day: "numeric", month: "short" });

// A hyphen is no minus.
export const minus = (text) => text.replaceAll("-", "−");

export function number(value, digits = 0) {
  return minus(one(Intl.NumberFormat, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value));
}

// A rate, a mark of an axis: two digits that count, at most.
export function small(value) {
  return one(Intl.NumberFormat, { maximumSignificantDigits: 2 }).format(value);
}

// A p-value: two digits that count, always, so that a column of them is read at a glance.
export function chance(value) {
  return one(Intl.NumberFormat, { minimumSignificantDigits: 2, maximumSignificantDigits: 2 }).format(value);
}

export function percent(value) {
  return one(Intl.NumberFormat, { style: "percent", maximumSignificantDigits: 2 }).format(value);
}

export function level(value, unit) {
  return value === null || value === undefined ? "–" : `${number(value, 1)}\u202f${unit}`;
}

// A score against its threshold: p cannot tell how far above one is.
export function over({ score, threshold }) {
  if (!(threshold > 0) || !(score >= 0)) return null;
  return t("score.over", { times: small(score / threshold), threshold: one(Intl.NumberFormat, { maximumSignificantDigits: 3 }).format(threshold) });
}

const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [Infinity, "day", 86400]];

// How long ago: "3 min. ago". What lies ahead by a clock that differs is now.
export function ago(at, now = Date.now()) {
  const past = Math.max(0, (now - Date.parse(at)) / 1000);
  const [, unit, size] = STEPS.find(([end]) => past < end);
  const amount = unit === "second" ? Math.floor(past / 10) * 10 : Math.floor(past / size);
  return one(Intl.RelativeTimeFormat, { style: "short", numeric: "auto" }).format(-amount, unit);
}

// The same for the eye, and what it stands for on paper, where nobody knows when "now" was.
export const since = (at) => [el("time", { class: "onscreen", datetime: at, title: moment(at) }, ago(at)), el("span", { class: "onpaper" }, moment(at))];

export function sorter() {
  return one(Intl.Collator, { numeric: true, sensitivity: "base" }).compare;
}
