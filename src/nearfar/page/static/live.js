// What happens, as it happens: one stream of events, which comes back when it was lost.
import { ApiError, get } from "./api.js";

const EVENTS = ["bulletin", "label", "threshold", "setup"];
const PATIENCE = [1, 2, 4, 8, 10]; // s until the next try
const ASKED = 20000; // ms between questions whether the server is still there
const LOOKED = 10000; // ms between looks where nothing is told
const FULL = 60000; // ms until it is asked anew whether there is room
const HIDDEN = 60000; // ms after which a window that nobody sees gives its connection back

// tell(event, data) gets every event of EVENTS, and besides:
//   "lost" { since }, "full": it is there and tells nobody else; all is asked for each 10 s, "again" { about, restarted }, "about" about, "glance": time to look, where nothing is told, "out": the token holds no more.
export function listen(about, tell) {
  const live = new Live(about, tell);
  document.addEventListener("visibilitychange", () => live.seen());
  addEventListener("online", () => live.state === "lost" && live.open());
  setInterval(() => {
    if (live.state === "rest") tell("glance");
    else if (live.source) live.ask();
  }, ASKED);
  live.open();
}

class Live {
  constructor(about, tell) {
    this.tell = tell;
    this.source = null;
    this.state = "new"; // "open", "lost", "full", "rest": nobody sees the window
    this.tries = 0;
    this.started = about.watch?.started;
  }

  open() {
    clearTimeout(this.retry);
    this.source?.close();
    const mine = this.source = new EventSource("/api/events");
    mine.onopen = () => mine === this.source && this.back();
    // One that is closed for good was answered, with a refusal: nobody but the server does that.
    mine.onerror = () => mine === this.source && (mine.readyState === EventSource.CLOSED ? this.refused() : this.lost());
    for (const name of EVENTS) mine.addEventListener(name, (event) => this.tell(name, JSON.parse(event.data)));
  }

  shut() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  async refused() {
    this.shut();
    const now = await get("/about").catch(() => null);
    if (!now || (now.needs_token && !now.role)) return this.lost();
    if (this.state !== "full") this.tell("full");
    this.state = "full";
    this.look();
    this.retry = setTimeout(() => this.open(), FULL);
  }

  // What is not told is looked at.
  async look() {
    clearTimeout(this.looks);
    if (this.state !== "full") return;
    const now = await get("/about").catch(() => null);
    if (this.state !== "full") return;
    if (!now) return this.lost();
    this.tell("looked", { about: now, restarted: false });
    this.looks = setTimeout(() => this.look(), LOOKED);
  }

  lost() {
    this.shut();
    if (this.state !== "lost") this.tell("lost", { since: Date.now() });
    this.state = "lost";
    this.retry = setTimeout(() => this.open(), 1000 * PATIENCE[Math.min(this.tries++, PATIENCE.length - 1)]);
    this.ask();
  }

  async back() {
    const now = await this.ask();
    if (!now || !this.source) return;
    this.tries = 0;
    const missed = this.state !== "new";
    this.state = "open";
    if (missed) this.tell("again", { about: now, restarted: now.watch?.started !== this.started });
    this.started = now.watch?.started;
  }

  async ask() {
    try {
      const now = await get("/about");
      if (now.needs_token && !now.role) return void this.tell("out");
      if (this.state !== "lost") this.tell("about", now);
      return now;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 0 && this.source) this.lost();
    }
  }

  // A browser lends a site six connections: windows behind others must not hold them all.
  seen() {
    clearTimeout(this.rest);
    if (document.hidden) this.rest = setTimeout(() => { this.shut(); this.state = "rest"; }, HIDDEN);
    else if (this.state === "rest") this.open();
  }
}
