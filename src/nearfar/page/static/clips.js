// The clips of a machine as a table: what the timeline shows, to be read and reached one by one.
import { get, of } from "./api.js";
import { el, fill } from "./dom.js";
import { atTime, chance, level, onDay, small } from "./shown.js";
import { chip, faultWord, verdictOf } from "./states.js";
import { t } from "./words.js";

const AT_ONCE = 25;
const ASKED = { all: {}, bad: { anomalous: true }, idle: { status: "idle" }, not: { status: "unjudged" } };

export const clipHash = (one, digest) => `#/c/${[one.machine, one.section, digest].map(encodeURIComponent).join("/")}`;

export class Clips {
  constructor(one, page) {
    this.one = one;
    this.page = page;
    this.next = null;
    this.new = 0;
    this.body = el("tbody", {});
    this.none = el("p", { class: "note", role: "status" });
    this.older = el("button", { class: "plain noprint", hidden: true, onclick: () => this.more() }, t("clips.older"));
    this.fresh = el("button", { class: "plain noprint", hidden: true, onclick: () => this.again() });
    this.kind = el("select", { onchange: () => this.again(), "aria-label": t("clips.show") },
      [["all", t("clips.all")], ["bad", t("clips.bad")], ["idle", t("clips.idle")], ["not", t("clips.not")]].map(([value, word]) => el("option", { value }, word)));
    this.place = el("section", { class: "clips", "aria-labelledby": "clips-title" },
      el("div", { class: "row between" }, el("h2", { id: "clips-title" }, t("m.table")),
        el("div", { class: "row noprint" }, this.fresh, this.kind)),
      el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {},
        el("th", { scope: "col" }, t("clips.when")), el("th", { scope: "col" }, t("clips.verdict")),
        el("th", { scope: "col", class: "n" }, "p"), el("th", { scope: "col", class: "n" }, t("clips.score")), el("th", { scope: "col", class: "n levels" }, t("clips.near")),
        el("th", { scope: "col", class: "n levels" }, t("clips.far")), el("th", { scope: "col" }, t("clips.remarks")))), this.body)),
      this.none, this.older);
  }

  async again() {
    const found = await this.ask();
    if (!found) return;
    this.new = 0;
    this.fresh.hidden = true;
    fill(this.body, found.clips.map((clip) => this.line(clip)));
    fill(this.none, found.clips.length ? "" : t("clips.none"));
  }

  async more() {
    const found = await this.ask({ before: this.next });
    if (!found) return;
    const lines = found.clips.map((clip) => this.line(clip));
    this.body.append(...lines);
    lines[0]?.querySelector("a").focus();
  }

  async ask(more = {}) {
    this.older.disabled = true;
    try {
      const found = await get(of(this.one, "/clips", { limit: AT_ONCE, ...ASKED[this.kind.value], ...more }));
      this.next = found.next;
      this.older.hidden = !found.next;
      return found;
    } catch (error) {
      this.page.say(error.message || t("lost.now"), "bad");
    } finally {
      this.older.disabled = false;
    }
  }

  // A new clip pushes no line away under the eyes of who reads further down.
  heard() {
    this.new += 1;
    const reading = this.place.contains(document.activeElement) || this.body.children.length > AT_ONCE;
    if (!reading && this.kind.value === "all" && this.new === 1) return void setTimeout(() => !this.page.signal.aborted && this.again(), 500);
    fill(this.fresh, t("clips.new", { n: this.new }));
    this.fresh.hidden = false;
  }

  line(clip) {
    const p = clip.p_value;
    return el("tr", { class: verdictOf(clip) },
      el("th", { scope: "row" }, el("a", { href: clipHash(this.one, clip.digest) }, when(clip.at ?? clip.time ?? clip.arrived))),
      el("td", {}, chip(verdictOf(clip))),
      el("td", { class: "n" }, p === null || p === undefined ? "–" : chance(p)),
      el("td", { class: "n" }, clip.threshold > 0 && clip.score !== null ? `${small(clip.score / clip.threshold)} ×` : "–"),
      el("td", { class: "n levels" }, level(clip.near_level, "dB")), el("td", { class: "n levels" }, level(clip.far_level, "dB")),
      el("td", { class: "remarks" }, remarks(clip)));
  }
}

// On a phone the day and the time are a line each.
const when = (at) => [el("span", {}, onDay(at)), " ", el("span", {}, atTime(at))];

function remarks(clip) {
  const label = clip.label === "fault" ? t("label.fault") : clip.label === "normal" ? (clip.learnt ? t("label.learnt") : t("label.normal")) : null;
  return [label && el("span", { class: `tag label-${clip.label}` }, label),
    clip.faults.length > 0 && el("span", {}, clip.faults.map(faultWord).join(" · ")),
    clip.warning && el("span", { class: "note", lang: "en" }, clip.warning)];
}
