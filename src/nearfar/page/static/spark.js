// The last day of a machine on its tile, where there are few machines: the same picture in small.
import { get, of } from "./api.js";
import { el, fill } from "./dom.js";
import { decades, limit, line, spanOf } from "./scales.js";
import { day } from "./shown.js";
import { t } from "./words.js";

const DAY = 86400000;
const REST = 0.02; // of a day that is free at its right
const RESTED = 10000; // ms before it is fetched anew
const SIZE = { width: 320, height: 46 };
const POINTS = 160;

export class Spark {
  constructor(one, signal) {
    Object.assign(this, { one, signal, asked: 0 });
    this.place = el("span", { class: "spark", role: "img", "aria-label": t("tiles.day") });
  }

  async renew() {
    const now = Date.now();
    const rests = this.asked + RESTED - now;
    if (rests > 0) {
      // What came meanwhile is drawn then: a tile never ends without its last clips.
      this.due ??= setTimeout(() => { this.due = undefined; if (!this.signal.aborted) this.renew(); }, rests);
      return;
    }
    this.asked = now;
    const last = await this.day(now);
    // Recordings of another day: the last day that there is.
    const old = last && !last.points.at.length && last.last_ms !== null;
    const until = old ? last.last_ms + DAY * REST : now;
    const data = old ? await this.day(until) : last;
    if (!data || this.signal.aborted) return;
    fill(this.place, picture(data, until), old && el("span", { class: "note" }, day(last.last_ms)));
  }

  day(until) {
    const span = { since: new Date(until - DAY).toISOString(), until: new Date(until).toISOString(), points: POINTS };
    return get(of(this.one, "/timeline", span)).catch(() => null);
  }
}

function picture({ points, rate, alarms }, now) {
  const x = line(now - DAY, now, 2, SIZE.width - 4);
  const smallest = points.p.reduce((least, p) => (p !== null && p < least ? p : least), 1);
  const most = decades(smallest, rate);
  const y = line(0, most, SIZE.height - 8, 3);
  let fine = "";
  let strange = "";
  let idle = "";
  points.at.forEach((at, i) => {
    const here = x(at).toFixed(1);
    if (points.idle[i]) idle += `M${here} ${SIZE.height - 2}h${SIZE.width / POINTS + 0.4}`;
    if (points.p[i] === null) return;
    const up = y(-Math.log10(Math.max(points.p[i], 1e-12))).toFixed(1);
    if (points.anomalous[i]) strange += `M${here} ${up - 3}l3 5.4h-6z`;
    else fine += `M${here} ${up}h.01`;
  });
  const bands = alarms.map((alarm) => {
    const [begin, end] = spanOf(alarm, now);
    const [from, to] = [Math.max(2, x(begin)), Math.min(SIZE.width, x(end))];
    return to > from && el("rect", { class: "band", x: from, y: 0, width: to - from, height: SIZE.height });
  });
  const least = limit(rate, points.p.filter((p, i) => points.anomalous[i] === points.judged[i] && p !== null));
  const at = least ? y(-Math.log10(least)) : null;
  return el("svg", { class: "plot", viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    el("g", { class: "span" }, bands), at !== null && el("g", { class: "threshold" }, el("path", { d: `M0 ${at}H${SIZE.width}` })),
    el("path", { class: "rests", d: idle }), el("path", { class: "fine", d: fine }), el("path", { class: "strange", d: strange }));
}
