// All machines as tiles: what needs a person first.
import { waitingAlarms } from "./alarms.js";
import { el, fill, write } from "./dom.js";
import { keyOf, labelOf, machineHash, waits } from "./fleet.js";
import { limit } from "./scales.js";
import { ago, chance, moment, small, sorter } from "./shown.js";
import { alarmWord, chip, faultWord, rank, stateOf } from "./states.js";
import { t } from "./words.js";

const DENSE = 24; // machines from which tiles are small
const ROOMY = 2; // machines up to which each has a row of its own
const FEW = 12; // machines up to which each shows its last day
const DECADES = 4; // of p that a bar shows: from 1 to 0.0001
const AGES = 10000; // ms between looks at the clock
const NEWS = 400; // ms in which what changed is drawn at once

const share = (p) => Math.min(1, Math.max(0, -Math.log10(p)) / DECADES);

export async function show(place, asked, page) {
  await page.fleet.ready;
  if (page.about.ready === false && page.about.can_setup) return page.go("#/setup");
  if (page.signal.aborted) return;
  const view = new Tiles(page);
  fill(place, view.place);
  let due;
  const soon = () => { due ??= setTimeout(() => { due = undefined; view.redraw(); }, NEWS); };
  page.on("bulletin", soon);
  page.on("answered", () => view.redraw());
  page.on("again", () => view.redraw());
  page.on("threshold", () => page.fleet.load().then(soon));
  const clock = setInterval(() => view.ages(), AGES);
  page.signal.addEventListener("abort", () => clearInterval(clock));
}

class Tiles {
  constructor(page) {
    this.page = page;
    this.known = new Map(); // key → { tile, drawn, age, heard, said }
    this.alarms = waitingAlarms(page);
    this.find = el("input", { type: "search", class: "find", placeholder: t("tiles.find"), "aria-label": t("tiles.find"), autocomplete: "off", oninput: () => this.redraw() });
    this.needs = el("input", { type: "checkbox", onchange: () => this.redraw() });
    this.needsWord = el("span", {});
    this.list = el("ul", { class: "tiles" });
    this.none = el("p", { class: "note", role: "status" });
    this.place = el("div", { class: "wide-view" },
      el("h1", { class: "unseen" }, t("machines")),
      this.alarms.place,
      el("section", { "aria-label": t("machines") },
        this.tools = el("div", { class: "row tools noprint" }, this.find, el("label", { class: "check" }, this.needs, this.needsWord)),
        this.list, this.none));
    this.redraw();
  }

  redraw() {
    this.alarms.redraw();
    const machines = this.page.fleet.all;
    const needing = machines.filter((one) => needsPerson(one)).length;
    write(this.needsWord, t("tiles.needs", { n: needing }));
    this.list.classList.toggle("dense", machines.length >= DENSE);
    this.list.classList.toggle("roomy", machines.length <= ROOMY);
    this.tools.hidden = machines.length <= ROOMY;
    const wanted = this.find.value.trim().toLocaleLowerCase();
    const compare = sorter();
    const shown = machines
      .filter((one) => !wanted || labelOf(one).toLocaleLowerCase().includes(wanted))
      .filter((one) => !this.needs.checked || needsPerson(one))
      .sort((a, b) => rank(a) - rank(b) || compare(labelOf(a), labelOf(b)));
    this.days(machines.length <= FEW);
    this.order(shown.map((one) => this.tile(one)));
    write(this.none, shown.length ? "" : !machines.length ? t("tiles.empty") : wanted ? t("tiles.none") : t("tiles.calm"));
  }

  // Drawn by a module of its own, which halls with many machines need not fetch.
  async days(few) {
    if (!few || this.daily) return;
    this.daily = import("./spark.js");
    try {
      ({ Spark: this.Spark } = await this.daily);
    } catch {
      return void (this.daily = null); // nobody answers: with the next news
    }
    for (const known of this.known.values()) known.said = "";
    if (!this.page.signal.aborted) this.redraw();
  }

  // Moves only what is not where it should be, so that the focus stays on its tile.
  order(tiles) {
    const wanted = new Set(tiles);
    for (const tile of [...this.list.children]) if (!wanted.has(tile)) tile.remove();
    const focused = document.activeElement;
    tiles.forEach((tile, place) => {
      if (this.list.children[place] !== tile) this.list.insertBefore(tile, this.list.children[place] ?? null);
    });
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
  }

  tile(one) {
    const key = keyOf(one);
    let known = this.known.get(key);
    if (!known) this.known.set(key, known = { tile: el("li", {}), said: "" });
    const said = JSON.stringify(one);
    if (known.said !== said) {
      known.said = said;
      known.heard = one.heard;
      known.age = el("span", { class: "age onscreen" }, ageOf(one.heard));
      // The link is kept: who has reached it by keyboard stays on it.
      known.link ??= el("a", { href: machineHash(one) });
      const state = stateOf(one);
      known.link.className = `tile ${state}`;
      if (this.Spark && one.heard) known.spark ??= new this.Spark(one, this.page.signal);
      fill(known.link, face(one, state, known.age, known.spark?.place));
      known.spark?.renew();
      if (!known.link.isConnected) fill(known.tile, known.link);
    }
    return known.tile;
  }

  ages() {
    for (const { age, heard } of this.known.values()) write(age, ageOf(heard));
    this.alarms.ages();
  }
}

const ageOf = (heard) => (heard ? ago(heard) : ""); // its state says so
const needsPerson = (one) => one.faults.length > 0 || one.alarms.some(waits);

function face(one, state, age, day) {
  const faults = one.faults.map(faultWord).join(" · ");
  const alarms = one.alarms.filter((alarm) => alarm.state !== "closed");
  return [
    el("span", { class: "head" }, el("bdi", { class: "name", title: labelOf(one) }, labelOf(one)), age, one.heard && el("span", { class: "age onpaper" }, moment(one.heard))),
    el("span", { class: "body" }, chip(state), bar(one)),
    day,
    (faults || alarms.length > 0) && el("span", { class: "foot" },
      faults && el("span", {}, faults),
      alarms.map((alarm) => el("span", { class: `tag ${alarm.state}` }, t("tiles.alarm", { id: String(alarm.id), state: alarmWord(alarm) })))),
  ];
}

// The last p-value: the further to the right, the stranger; the mark is where it counts.
function bar(one) {
  if (one.p_value === null || one.p_value === undefined) return null;
  const rate = limit(one.threshold_p, one.anomalous ? [one.p_value] : []);
  return el("span", { class: "p" },
    el("span", { class: `bar${one.anomalous ? " over" : ""}`, role: "img", "aria-label": rate ? t("tiles.bar", { p: chance(one.p_value), rate: small(rate) }) : t("tiles.p", { p: chance(one.p_value) }) },
      el("i", { style: { width: `${100 * Math.max(0.02, share(one.p_value))}%` } }),
      rate && el("b", { style: { left: `${100 * share(rate)}%` } })),
    el("span", { class: "value", "aria-hidden": "true" }, t("tiles.p", { p: chance(one.p_value) })),
    one.anomalous && one.threshold > 0 && el("b", { class: "times" }, t("tiles.times", { n: small(one.score / one.threshold) })));
}
