// The timeline of p-values as a picture: the higher, the stranger. drawing.js draws, this steers.
import { el, fill, write } from "./dom.js";
import { draw, MARGIN } from "./drawing.js";
import { line, nearest } from "./scales.js";
import { chance, moment } from "./shown.js";
import { stateWord } from "./states.js";
import { t } from "./words.js";

const SHORTEST = 30000; // ms that a picture shows, at least
const DRAGGED = 6; // px from which a press is no click
const REACH = 28; // px around a point in which it is meant
const FETCH = 180; // ms of rest after which a new span is asked for

// ask(since, until, points) gives the timeline of a span; open(digest) opens a clip.
export class Chart {
  constructor({ ask, open, changed, signal }) {
    Object.assign(this, { ask, open, changed, data: null, chosen: -1, back: [], fingers: new Map() });
    this.canvas = el("div", {
      class: "chart", tabindex: "0", role: "application", "aria-roledescription": t("chart.role"), "aria-describedby": "chart-keys",
    });
    this.tip = el("div", { class: "tip", hidden: true });
    this.said = el("p", { class: "unseen", "aria-live": "polite" });
    this.sum = el("p", { class: "note sum-up" });
    this.hint = el("p", { class: "note hint noprint", id: "chart-keys" }, el("span", { class: "for-mouse" }, t("chart.keys")), el("span", { class: "for-touch" }, t("chart.touch")));
    this.place = el("figure", { class: "timeline" }, el("div", { class: "stage" }, this.canvas, this.tip), this.legend = el("div", { class: "legend" }),
      el("figcaption", {}, this.sum), this.hint, this.said);
    this.steer();
    const sized = new ResizeObserver(() => this.draw());
    sized.observe(this.canvas);
    signal.addEventListener("abort", () => sized.disconnect());
  }

  get width() {
    return Math.max(260, Math.round(this.canvas.clientWidth));
  }

  get inner() {
    return [MARGIN.left, this.width - MARGIN.right];
  }

  // Takes a timeline as the server gives it.
  take(data) {
    const kept = this.chosen >= 0 ? this.data?.points.digest[this.chosen] : null;
    this.data = data;
    this.chosen = kept ? data.points.digest.indexOf(kept) : -1;
    this.draw();
    if (this.chosen < 0) this.tip.hidden = true;
  }

  // Shows a span at once with what is known, and asks for more.
  view(since, until, remember = true) {
    const span = Math.max(SHORTEST, until - since);
    const middle = (since + until) / 2;
    if (remember && this.since !== undefined) this.back.push([this.since, this.until]);
    [this.since, this.until] = [Math.round(middle - span / 2), Math.round(middle + span / 2)];
    this.tip.hidden = true;
    this.draw();
    clearTimeout(this.due);
    this.due = setTimeout(() => this.fetch(), FETCH);
  }

  async fetch() {
    const [since, until] = [this.since, this.until];
    this.place.setAttribute("aria-busy", "true");
    const data = await this.ask(since, until, Math.min(2000, 2 * this.width)).catch((error) => void write(this.sum, error.message || t("lost.now")));
    if (since !== this.since || until !== this.until) return;
    this.place.removeAttribute("aria-busy");
    if (data) this.take(data);
    this.changed?.(since, until);
  }

  draw() {
    if (!this.data || this.since === undefined || !this.canvas.clientWidth) return;
    draw(this);
    this.canvas.setAttribute("aria-label", t("chart.name", { from: moment(this.since), to: moment(this.until) }));
  }

  toTime(x) {
    return line(...this.inner, this.since, this.until)(x);
  }

  toX(at) {
    return line(this.since, this.until, ...this.inner)(at);
  }

  zoom(by, around = (this.since + this.until) / 2) {
    this.view(around - (around - this.since) * by, around + (this.until - around) * by);
  }

  pan(share) {
    const by = share * (this.until - this.since);
    this.view(this.since + by, this.until + by, false);
  }

  undo() {
    const was = this.back.pop();
    if (was) this.view(...was, false);
    else this.zoom(2);
  }

  // A point is chosen: marked, and its facts are shown and read out.
  choose(place, aloud) {
    const { points } = this.data;
    this.chosen = place;
    if (place < 0) return void (this.tip.hidden = true, this.draw());
    const at = points.at[place];
    if (at < this.since || at > this.until) this.view(...around(at, this.until - this.since), false);
    this.draw();
    const facts = this.facts(place);
    fill(this.tip, el("b", {}, moment(at)), el("span", {}, facts),
      points.digest[place] && el("button", { class: "quiet noprint", tabindex: "-1", onclick: () => this.open(points.digest[place]) }, t("chart.open")));
    this.tip.hidden = false;
    const half = this.tip.offsetWidth / 2;
    const x = Math.min(this.width - half, Math.max(half, this.toX(at)));
    this.tip.style.setProperty("left", `${x}px`);
    if (aloud) write(this.said, `${moment(at)}: ${facts}`);
  }

  facts(place) {
    const { points } = this.data;
    const heard = points.judged[place] + points.idle[place] + points.unjudged[place];
    const more = points.faults[place] ? ` · ${stateWord("sensor")}` : "";
    const p = points.p[place];
    const silent = stateWord(points.idle[place] ? "idle" : "unjudged");
    if (p === null) return (heard > 1 ? t("chart.some", { n: heard, verdict: silent }) : silent) + more;
    if (heard > 1) return t("chart.many", { n: heard, bad: points.anomalous[place], p: chance(p) }) + more;
    return t("chart.one", { verdict: stateWord(points.anomalous[place] ? "anomalous" : "normal"), p: chance(p) }) + more;
  }

  // The point that is meant at a place of the picture, in px; -1: none.
  at(x) {
    const { points } = this.data;
    const place = nearest(points.at, this.toTime(x));
    if (place < 0 || Math.abs(this.toX(points.at[place]) - x) > REACH) return -1;
    // Of many that stand close together the strangest is meant.
    let best = place;
    for (let i = place - 40; i <= place + 40; i++) {
      if (points.at[i] === undefined || Math.abs(this.toX(points.at[i]) - x) > 4) continue;
      if ((points.p[i] ?? 2) < (points.p[best] ?? 2)) best = i;
    }
    return best;
  }

  steer() {
    const on = (name, fn, options) => this.canvas.addEventListener(name, fn, options);
    on("keydown", (event) => this.key(event));
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", (event) => this.up(event, true));
    on("pointerleave", (event) => event.pointerType === "mouse" && !this.fingers.size && document.activeElement !== this.canvas && this.choose(-1));
    on("dblclick", () => this.undo());
  }

  key(event) {
    if (!this.data || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = this.data.points.at;
    const here = this.chosen >= 0 ? this.chosen : nearest(all, this.until);
    const acts = {
      ArrowRight: () => this.choose(Math.min(all.length - 1, this.chosen < 0 ? here : here + 1), true),
      ArrowLeft: () => this.choose(Math.max(0, this.chosen < 0 ? here : here - 1), true),
      Home: () => this.choose(all.length ? 0 : -1, true),
      End: () => this.choose(all.length - 1, true),
      PageUp: () => this.pan(-0.8), PageDown: () => this.pan(0.8),
      "+": () => this.zoom(0.5, all[this.chosen]), "=": () => this.zoom(0.5, all[this.chosen]),
      "-": () => this.zoom(2, all[this.chosen]), Escape: () => this.choose(-1),
      Enter: () => this.chosen >= 0 && this.open(this.data.points.digest[this.chosen]),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // The wheel scrolls the page unless the picture has the focus, or Ctrl says that it is meant.
  wheel(event) {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== this.canvas) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return this.pan(event.deltaX / this.width);
    this.view(...this.scaled(Math.exp(event.deltaY / 300), this.toTime(this.x(event))), false);
  }

  scaled(by, fixed) {
    return [fixed - (fixed - this.since) * by, fixed + (this.until - fixed) * by];
  }

  x(event) {
    return event.clientX - this.canvas.getBoundingClientRect().left;
  }

  down(event) {
    if (event.button || !this.data) return;
    const x = this.x(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x, from: x });
    this.start = [this.since, this.until];
    this.pinched = this.fingers.size > 1;
    if (event.pointerType === "mouse") this.canvas.focus({ preventScroll: true });
  }

  move(event) {
    if (!this.data) return;
    const x = this.x(event);
    const finger = this.fingers.get(event.pointerId);
    if (!finger) return event.pointerType === "mouse" && this.hover(x);
    const was = finger.x;
    finger.x = x;
    if (this.fingers.size > 1) return this.pinch(event.pointerId, was);
    if (Math.abs(x - finger.from) < DRAGGED) return;
    if (event.pointerType === "mouse" && !event.shiftKey) return this.select(finger);
    const by = ((finger.from - x) * (this.start[1] - this.start[0])) / (this.inner[1] - this.inner[0]);
    if (!this.pinched) this.view(this.start[0] + by, this.start[1] + by, false);
  }

  hover(x) {
    const place = this.at(x);
    this.canvas.classList.toggle("over", place >= 0);
    if (place !== this.chosen) this.choose(place);
  }

  // Two fingers: what was between them stays between them.
  pinch(id, was) {
    const [other] = [...this.fingers].find(([one]) => one !== id) ? [...this.fingers].filter(([one]) => one !== id).map(([, f]) => f.x) : [0];
    const now = this.fingers.get(id).x;
    const by = Math.abs(was - other) / Math.max(8, Math.abs(now - other));
    this.view(...this.scaled(Math.min(2, Math.max(0.5, by)), this.toTime(other)), false);
  }

  select(finger) {
    this.tip.hidden = true;
    this.picked = [Math.min(finger.from, finger.x), Math.max(finger.from, finger.x)];
    this.draw();
  }

  up(event, off = false) {
    const finger = this.fingers.get(event.pointerId);
    this.fingers.delete(event.pointerId);
    const picked = this.picked;
    this.picked = null;
    if (!finger || off || !this.data) return this.draw();
    if (picked) return this.view(this.toTime(picked[0]), this.toTime(picked[1]));
    if (this.pinched || Math.abs(finger.x - finger.from) >= DRAGGED) return;
    const place = this.at(finger.x);
    if (event.pointerType === "mouse" && place >= 0) this.open(this.data.points.digest[place]);
    else this.choose(place, true);
  }
}

const around = (at, span) => [at - span / 2, at + span / 2];
