// Alarms, and what people answer: acknowledge, shelve, note.
import { ApiError, get, of, post } from "./api.js";
import { ask, field, nameField } from "./dialog.js";
import { el, fill, write } from "./dom.js";
import { keyOf, labelOf, machineHash } from "./fleet.js";
import { ago, atTime, moment, onDay, since } from "./shown.js";
import { alarmShape, alarmWord, faultWord } from "./states.js";
import { t } from "./words.js";

const FEW = 3; // alarms above the tiles before the rest is folded
const TAKEN_IN = 3000; // ms after which a watch has taken in what people answered
const HOURS = [1, 4, 8, 24, 72, 168];
const CLOSED = 20; // alarms that are over: the newest
const DEEDS = {
  acknowledged: (by) => t("deed.acknowledged", by), shelved: (by) => t("deed.shelved", by),
  unshelved: (by) => t("deed.unshelved", by), noted: (by) => t("deed.noted", by),
};

const kindOf = (alarm) => (alarm.kind === "sensor" ? "sensor" : alarm.kind === "drift" ? "drift" : "alarm");

// The alarms that nobody has answered, as a part of a view. Its redraw() is for when they change.
export function waitingAlarms(page) {
  const list = el("ul", { class: "alarms" });
  const more = el("button", { class: "quiet" });
  const place = el("section", { class: "waiting-alarms", "aria-labelledby": "waiting-title" },
    el("h2", { id: "waiting-title" }, t("alarms.title")), list, more);
  let all = false;
  let drawn = "";
  const redraw = () => {
    const alarms = page.fleet.waiting;
    const now = JSON.stringify([all, alarms]);
    if (now === drawn) return;
    drawn = now;
    const focused = focusIn(list);
    place.hidden = !alarms.length;
    fill(list, (all ? alarms : alarms.slice(0, FEW)).map((alarm) => alarmRow(alarm, page, true)));
    more.hidden = alarms.length <= FEW;
    fill(more, all ? t("alarms.less") : t("alarms.more", { n: alarms.length }));
    focused?.();
  };
  more.addEventListener("click", () => {
    all = !all;
    redraw();
  });
  redraw();
  return { place, redraw, ages: () => ages(list) };
}

// How long ago alarms were raised, as time goes on.
export function ages(list) {
  for (const time of list.querySelectorAll("time")) write(time, ago(time.dateTime));
}

// Where the focus is among alarms, to be given back once they were drawn anew.
function focusIn(list) {
  const row = document.activeElement?.closest?.(".alarms li");
  if (!row || !list.contains(row)) return null;
  const place = [...row.querySelectorAll("button")].indexOf(document.activeElement);
  return () => list.querySelectorAll(`li[data-id="${row.dataset.id}"] button`)[place]?.focus();
}

// One alarm with its buttons; named: which machine it is of stands there too; here: the clip that is looked at.
export function alarmRow(alarm, page, named, here = null) {
  const label = labelOf(page.fleet.find(alarm) ?? alarm);
  const told = alarm.kind === "sensor" ? faultWord(alarm.condition) : "";
  return el("li", { class: `alarm-row ${kindOf(alarm)} ${alarm.state}`, "data-id": alarm.id },
    alarmShape(alarm),
    el("div", { class: "what" },
      el("p", { class: "head" },
        named && el("a", { href: machineHash(alarm), class: "name" }, el("bdi", {}, label)),
        told && el("span", {}, told),
        el("span", { class: "note" }, t("alarms.number", { id: String(alarm.id) }), " · ", alarmWord(alarm),
          alarm.shelved_until ? ` ${t("shelve.until", { time: moment(alarm.shelved_until) })}` : "", " · ",
          since(alarm.since))),
      el("p", { class: "told", lang: "en" }, shortly(alarm.told, label)),
      saidOf(alarm, page)),
    el("div", { class: "row acts noprint" }, buttons(alarm, label, page, here)));
}

// Who did what about an alarm, and what they wrote, one below the other.
function saidOf(alarm, page) {
  const said = page.fleet.said.get(alarm.id) ?? alarm.said;
  if (!said?.length) return alarm.note ? el("p", { class: "said" }, el("bdi", {}, alarm.note)) : null;
  return el("ul", { class: "said" }, said.map(({ verb, who, at, note }) => el("li", {},
    DEEDS[verb]?.({ who: who || t("clip.somebody"), at: onDay(at) === onDay(Date.now()) ? atTime(at) : moment(at) }) ?? verb,
    note && el("q", {}, el("bdi", {}, note)))));
}

// Alarms of a machine that are over, and what was said of them: fetched when they are unfolded.
export function closedAlarms(one, page) {
  const list = el("ul", { class: "alarms" });
  const none = el("p", { class: "note", role: "status" });
  return el("details", { class: "closed-alarms noprint", ontoggle: async (event) => {
    if (!event.target.open) return;
    try {
      const { alarms } = await get("/alarms?closed=true");
      const closed = alarms.filter((alarm) => alarm.state === "closed" && keyOf(alarm) === keyOf(one)).reverse().slice(0, CLOSED);
      page.fleet.hear(closed);
      fill(list, closed.map((alarm) => alarmRow(alarm, page, false)));
      fill(none, closed.length ? "" : t("alarms.closed.none"));
    } catch (error) {
      told(error, page);
    }
  } }, el("summary", {}, t("alarms.closed")), list, none);
}

// What an alarm says, without the name that stands beside it.
function shortly(told, label) {
  const rest = told.startsWith(`${label}: `) ? told.slice(label.length + 2) : told;
  return rest[0].toUpperCase() + rest.slice(1);
}

function buttons(alarm, label, page, here) {
  const button = (word, act, kind) => el("button", { class: kind, onclick: act,
    "aria-label": `${word}, ${t("alarms.number", { id: String(alarm.id) })}, ${label}` }, word);
  const open = !(here && alarm.digest === here) && button(t("alarms.clip"), () => openClip(alarm, page), "quiet");
  if (!page.mayChange) return [open];
  const waits = alarm.state === "active" || alarm.state === "cleared";
  return [
    waits && button(t("ack"), () => acknowledge(alarm, label, page), "primary"),
    alarm.state === "shelved" ? button(t("unshelve"), () => unshelve(alarm, page), "plain")
      : alarm.state !== "closed" && button(t("shelve"), () => shelve(alarm, label, page), "plain"),
    alarm.state !== "closed" && button(t("note"), () => note(alarm, label, page), "plain"),
    open,
  ];
}

// The clip that raised an alarm. The server knows it: a recorder's clock may be far from this computer's.
async function openClip(alarm, page) {
  try {
    const digest = alarm.digest ?? (await get(of(alarm, "/timeline", { points: 1 }))).alarms.find((one) => one.id === alarm.id)?.digest;
    if (!digest) page.say(t("alarms.noclip"));
    else page.go(`#/c/${[alarm.machine, alarm.section, digest].map(encodeURIComponent).join("/")}`);
  } catch (error) {
    told(error, page);
  }
}

function told(error, page) {
  if (!(error instanceof ApiError)) throw error;
  page.say(error.message || t("lost.now"), "bad");
}

// What was answered is shown at once; the machine is asked for anew when the watch has taken it in.
function answered({ alarm }, page, line) {
  const show = () => {
    page.counted();
    page.tell("answered", alarm);
  };
  page.fleet.answered(alarm);
  page.fleet.hear([alarm]);
  show();
  page.say(line);
  setTimeout(() => page.fleet.refresh(alarm).then(show, () => {}), TAKEN_IN);
}

function noteField() {
  return field(t("note.label"), el("textarea", { name: "note", rows: "3", maxlength: "2000" }));
}

async function acknowledge(alarm, label, page) {
  await ask({
    title: t("ack.title", { id: String(alarm.id), machine: label }), lead: t("ack.why"),
    fields: [noteField(), nameField()], done: t("ack"),
    act: async ({ note: said, who }) => {
      answered(await post(`/alarms/${alarm.id}/acknowledge`, { note: said, who }), page, t("ack.done", { id: String(alarm.id) }));
    },
  });
}

async function shelve(alarm, label, page) {
  const hours = el("select", { name: "hours" }, HOURS.map((n) => el("option", { value: n, selected: n === 8 },
    n < 48 ? t("shelve.for", { n }) : t("shelve.days", { n: n / 24 }))));
  await ask({
    title: t("shelve.title", { id: String(alarm.id), machine: label }), lead: t("shelve.why"),
    fields: [field(t("shelve.hours"), hours), noteField(), nameField()], done: t("shelve"),
    act: async ({ hours: chosen, note: said, who }) => {
      answered(await post(`/alarms/${alarm.id}/shelve`, { hours: Number(chosen), note: said, who }), page, t("shelve.done", { id: String(alarm.id) }));
    },
  });
}

async function unshelve(alarm, page) {
  try {
    answered(await post(`/alarms/${alarm.id}/unshelve`, { who: page.who() }), page, t("unshelve.done", { id: String(alarm.id) }));
  } catch (error) {
    told(error, page);
  }
}

async function note(alarm, label, page) {
  await ask({
    title: t("note.title", { id: String(alarm.id), machine: label }),
    fields: [saidOf(alarm, page), noteField(), nameField()], done: t("note.save"),
    act: async ({ note: said, who }) => {
      answered(await post(`/alarms/${alarm.id}/note`, { note: said, who }), page, t("note.done"));
    },
  });
}
