// How a machine, a clip, an alarm is: a word and a shape each, so that no colour is needed to tell.
import { el } from "./dom.js";
import { t } from "./words.js";

// Drawn in 16 × 16; what is filled stands out before what is outlined.
const SHAPES = {
  alarm: ["M8 1.4 15.2 14H.8Z", "fill"],
  acknowledged: ["M8 2.2 14.4 13.4H1.6Z M5.6 9.6l1.9 1.9 3-3.6", "line"],
  sensor: ["M8 1.6 14.4 8 8 14.4 1.6 8Z", "fill"],
  drift: ["M2 2h12v12H2Z M5 11l6-6 M6.6 5H11v4.4", "line"],
  anomalous: ["M8 2.2 14.4 13.4H1.6Z", "line"],
  unknown: ["M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8Z M6.2 6.4a1.9 1.9 0 1 1 2.6 1.8c-.6.3-.8.6-.8 1.2 M8 11.5v.1", "line"],
  unjudged: ["M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8Z M3.8 12.2l8.4-8.4", "line"],
  idle: ["M5 2.5v11 M11 2.5v11", "thick"],
  normal: ["M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8Z M5.2 8.2l2 2 3.6-4.2", "line"],
  shelved: ["M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8Z M8 4.6V8l2.6 1.6", "line"],
};
const WORDS = {
  alarm: () => t("state.alarm"), acknowledged: () => t("state.acknowledged"), sensor: () => t("state.sensor"),
  drift: () => t("state.drift"), anomalous: () => t("state.anomalous"), unknown: () => t("state.unknown"),
  unjudged: () => t("state.unjudged"), idle: () => t("state.idle"), normal: () => t("state.normal"),
};
// What needs a person comes first.
const ORDER = ["alarm", "sensor", "drift", "acknowledged", "anomalous", "unjudged", "unknown", "idle", "normal"];

export function shape(name) {
  const [d, drawn] = SHAPES[name] ?? SHAPES.unknown;
  return el("svg", { class: `shape ${drawn}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, el("path", { d }));
}

const stands = (word) => word === "active" || word === "acknowledged";

export function stateOf(machine) {
  if (machine.sound === "active") return "alarm";
  if (machine.faults.length || machine.sensor === "active") return "sensor";
  if (machine.drift === "active") return "drift";
  if ([machine.sound, machine.sensor, machine.drift].some(stands)) return "acknowledged";
  return machine.state in WORDS ? machine.state : "unknown";
}

export const rank = (machine) => ORDER.indexOf(stateOf(machine));
export const stateWord = (name) => (WORDS[name] ?? WORDS.unknown)();

export function chip(name, ...more) {
  return el("span", { class: `chip ${name}` }, shape(name), el("span", {}, stateWord(name)), ...more);
}

export function verdictOf(clip) {
  if (clip.status !== "judged") return clip.status === "idle" ? "idle" : "unjudged";
  return clip.anomalous ? "anomalous" : "normal";
}

const ALARM_WORDS = {
  active: () => t("alarm.active"), acknowledged: () => t("alarm.acknowledged"), cleared: () => t("alarm.cleared"),
  shelved: () => t("alarm.shelved"), closed: () => t("alarm.closed"),
};
export const alarmWord = (alarm) => (ALARM_WORDS[alarm.state] ?? ALARM_WORDS.active)();

export function alarmShape(alarm) {
  if (alarm.state === "shelved") return shape("shelved");
  if (alarm.state === "acknowledged") return shape("acknowledged");
  return shape({ machine: "alarm", sensor: "sensor", drift: "drift" }[alarm.kind]);
}

// What keeps us from hearing a machine; the server's own words for what has none here.
const FAULTS = {
  dead: () => t("fault.dead"), silent: () => t("fault.silent"), clipped: () => t("fault.clipped"),
  identical: () => t("fault.identical"), swapped: () => t("fault.swapped"), moved: () => t("fault.moved"),
  unreadable: () => t("fault.unreadable"), "wrong channels": () => t("fault.channels"),
  "wrong rate": () => t("fault.rate"), "stream lost": () => t("fault.lost"), "clips missing": () => t("fault.missing"),
  incomplete: () => t("fault.incomplete"), "wrong format": () => t("fault.format"),
};

export function faultWord(fault) {
  const [, side, word] = /^(near|far) (.+)$/.exec(fault) ?? [null, null, fault];
  const said = FAULTS[word]?.() ?? word;
  if (side === null) return said;
  return t("fault.side", { side: side === "near" ? t("near") : t("far"), fault: said });
}
