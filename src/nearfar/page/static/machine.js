// One machine: how it is, its alarms, its timeline, its clips.
import { ages, alarmRow, closedAlarms } from "./alarms.js";
import { get, of } from "./api.js";
import { Chart } from "./chart.js";
import { clipHash, Clips } from "./clips.js";
import { dress, el, fill } from "./dom.js";
import { keyOf, labelOf } from "./fleet.js";
import { limit } from "./scales.js";
import { ago, chance, level, moment, number, over, percent, small } from "./shown.js";
import { chip, faultWord, stateOf } from "./states.js";
import { t } from "./words.js";

const HOUR = 3600000;
const SPANS = { hour: HOUR, day: 24 * HOUR, week: 168 * HOUR, month: 720 * HOUR };
const AHEAD = 0.02; // of the span that is free at its right, so that the newest point is seen
const NEWS = 1500; // ms in which new clips are drawn at once

export async function show(place, asked, page) {
  await page.fleet.ready;
  const one = await get(of({ machine: asked.machine, section: asked.section ?? "00" }));
  page.fleet.take(one);
  if (page.signal.aborted) return;
  const view = new MachineView(one, page);
  fill(place, view.place);
  await view.start(asked);
}

class MachineView {
  constructor(one, page) {
    this.one = one;
    this.page = page;
    this.key = keyOf(one);
    this.state = el("span", {});
    this.rest = el("div", { class: "machine-head" });
    this.head = el("div", { class: "machine-head" },
      el("div", { class: "row" }, el("h1", {}, el("bdi", {}, labelOf(page.fleet.find(one) ?? one))), this.state));
    this.alarms = el("section", { "aria-label": t("m.alarms") });
    this.chart = new Chart({
      signal: page.signal,
      ask: (since, until, points) => get(of(one, "/timeline", { since: iso(since), until: iso(until), points })),
      open: (digest) => digest && page.go(clipHash(one, digest)),
      changed: (since, until) => this.remember(since, until),
    });
    this.clips = new Clips(one, page);
    this.tools = this.buttons();
    this.place = el("div", { class: "wide-view" },
      el("p", { class: "crumb noprint" }, el("a", { href: "#/" }, `‹ ${t("to.machines")}`)),
      this.head, this.alarms, this.rest,
      el("section", { "aria-labelledby": "timeline-title" },
        el("div", { class: "row between" }, el("h2", { id: "timeline-title" }, t("m.timeline")), this.tools), this.chart.place),
      closedAlarms(one, page),
      this.clips.place);
    this.redraw();
  }

  async start({ since, until }) {
    const { page } = this;
    let due;
    page.on("bulletin", (news) => {
      if (keyOf(news.machine) !== this.key) return;
      this.redraw();
      if (news.observation) this.clips.heard();
      due ??= setTimeout(() => { due = undefined; this.follow(); }, NEWS);
    });
    page.on("answered", () => { this.redraw(); this.chart.fetch(); });
    page.on("said", () => this.redraw(true));
    page.on("label", () => this.clips.again());
    page.on("threshold", () => this.again());
    page.on("again", () => this.again());
    const clock = setInterval(() => { this.redraw(); ages(this.alarms); }, 15000);
    page.signal.addEventListener("abort", () => { clearInterval(clock); clearTimeout(due); });
    await Promise.all([this.span(Number(since), Number(until)), this.clips.again()]);
  }

  async again() {
    await this.page.fleet.refresh(this.one).catch(() => {});
    if (this.page.signal.aborted) return;
    this.redraw();
    this.chart.fetch();
    this.clips.again();
  }

  // The span that is shown first: the one asked for, else a week, else all there is.
  async span(since, until) {
    const now = Date.now();
    const given = since > 0 && until > since;
    const [from, to] = given ? [since, until] : [now - SPANS.week, now];
    const data = await this.chart.ask(from, to, 1600);
    this.first = data.first_ms;
    this.last = data.last_ms;
    this.chart.data = data;
    if (this.first === null || this.first === undefined) {
      this.chart.view(now - SPANS.day, now, false);
      return fill(this.chart.sum, t("m.nothing"));
    }
    if (given) return this.chart.view(from, to, false);
    if (this.last === null || this.last < from) return this.preset("all");
    if (this.first > from) return this.preset("all");
    this.preset("week");
  }

  preset(name) {
    const end = Math.max(this.last ?? 0, name === "all" ? 0 : Math.min(Date.now(), (this.last ?? Date.now()) + HOUR));
    const start = name === "all" ? this.first ?? end - SPANS.day : end - SPANS[name];
    const span = Math.max(end - start, 60000);
    this.following = true;
    this.chart.view(end - span * (1 + (name === "all" ? AHEAD : 0)), end + span * AHEAD);
    this.mark(name);
  }

  mark(name) {
    for (const button of this.tools.querySelectorAll("[data-span]")) button.setAttribute("aria-pressed", String(button.dataset.span === name));
    this.marked = [name, this.chart.since, this.chart.until];
  }

  // New clips move the picture on only if its end is seen.
  follow() {
    this.last = Date.now();
    const { since, until } = this.chart;
    const span = until - since;
    if (until < this.last - span * AHEAD * 3) return;
    const [name] = this.marked ?? [];
    if (until > this.last + span * 0.005) return void this.chart.fetch();
    this.chart.view(since + this.last + span * AHEAD - until, this.last + span * AHEAD, false);
    if (name) this.marked = [name, this.chart.since, this.chart.until];
  }

  // Back from a clip the same span is seen.
  remember(since, until) {
    if (this.page.signal.aborted) return;
    const [name, ...was] = this.marked ?? [];
    if (name && (was[0] !== since || was[1] !== until)) this.mark("");
    const [path] = location.hash.split("?");
    history.replaceState(null, "", `${path}?since=${since}&until=${until}`);
  }

  buttons() {
    const button = (word, act, more = {}) => el("button", { onclick: act, ...more }, word);
    const sign = (sign, word, act) => button(sign, act, { "aria-label": word, title: word, class: "sign" });
    const spans = [["hour", t("zoom.hour")], ["day", t("zoom.day")], ["week", t("zoom.week")], ["month", t("zoom.month")], ["all", t("zoom.all")]];
    return el("div", { class: "row zooms noprint" },
      el("div", { class: "joined", role: "group", "aria-label": t("zoom.span") },
        spans.map(([name, word]) => button(word, () => this.preset(name), { "data-span": name, "aria-pressed": "false" }))),
      el("div", { class: "joined" },
        sign("‹", t("zoom.earlier"), () => this.chart.pan(-0.5)), sign("›", t("zoom.later"), () => this.chart.pan(0.5)),
        sign("−", t("zoom.out"), () => this.chart.zoom(2)), sign("+", t("zoom.in"), () => this.chart.zoom(0.5))));
  }

  redraw(all = false) {
    const one = this.page.fleet.machines.get(this.key) ?? this.one;
    if (all) this.drawn = "";
    const now = JSON.stringify([one, ago(one.heard ?? 0)]);
    if (now === this.drawn) return;
    this.drawn = now;
    const focused = document.activeElement?.dataset?.act;
    fill(this.state, chip(stateOf(one)));
    fill(this.rest,
      one.faults.length > 0 && el("p", { class: "faults" }, one.faults.map(faultWord).join(" · ")),
      one.warning && el("p", { class: "note", lang: "en" }, one.warning), this.facts(one));
    if (focused) this.rest.querySelector(`[data-act="${focused}"]`)?.focus();
    if (this.alarms.contains(document.activeElement) && JSON.stringify(one.alarms) === this.listed) return;
    this.listed = JSON.stringify(one.alarms);
    const open = one.alarms.filter((alarm) => alarm.state !== "closed");
    this.alarms.hidden = !open.length;
    fill(this.alarms, open.length > 0 && el("ul", { class: "alarms" }, open.map((alarm) => alarmRow(alarm, this.page, false))));
  }

  facts(one) {
    const fact = (name, value, small) => el("div", {}, el("dt", {}, name), el("dd", {}, value, small && el("small", {}, small)));
    const rate = one.threshold_p;
    const bound = limit(rate, one.anomalous ? [one.p_value] : []);
    return el("dl", { class: "facts" },
      fact(t("m.heard"), one.heard ? el("span", { class: "onscreen" }, ago(one.heard)) : "–", one.heard && moment(one.heard)),
      over(one) && fact(t("clip.score"), number(one.score, one.score < 10 ? 2 : 0), over(one)),
      given(one.p_value) && fact(t("m.p"), chance(one.p_value), bound && t("m.p.rate", { rate: small(bound) })),
      given(one.near_level) && fact(t("m.levels"), [el("span", {}, number(one.near_level, 1), " ·"), " ", el("span", {}, level(one.far_level, "dB"))], given(one.ratio) && t("m.ratio", { ratio: level(one.ratio, "dB") })),
      fact(t("m.threshold"), given(one.threshold) ? number(one.threshold, 3) : rate ? t("m.threshold.rate", { rate: percent(rate) }) : "–", [given(one.threshold) && rate && t("m.threshold.rate", { rate: percent(rate) }), " ", this.change(one)]),
      one.clips ? fact(t("m.clips"), number(one.clips), one.detector && t("m.detector", { id: one.detector }))
        : one.detector && fact(t("m.detector.name"), el("code", {}, one.detector)));
  }

  change(one) {
    if (!this.page.mayChange) return null;
    return el("button", { class: "link-like noprint", "data-act": "threshold", onclick: async () => {
      const [{ showThreshold }] = await Promise.all([import("./answers.js"), dress("clip.css")]);
      showThreshold(one, this.page);
    } }, t("m.threshold.change"));
  }
}

const given = (value) => value !== null && value !== undefined;
const iso = (ms) => new Date(ms).toISOString();
