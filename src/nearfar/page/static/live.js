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
  let source = null;
  let state = "new"; // "open", "lost", "rest": nobody sees the window
  let tries = 0;
  let started = about.watch?.started;
  let retry;
  let rest;
  let looks;

  function open() {
    clearTimeout(retry);
    source?.close();
    const mine = source = new EventSource("/api/events");
    mine.onopen = () => mine === source && back();
    // One that is closed for good was answered, with a refusal: nobody but the server does that.
    mine.onerror = () => mine === source && (mine.readyState === EventSource.CLOSED ? refused() : lost());
    for (const name of EVENTS) mine.addEventListener(name, (event) => tell(name, JSON.parse(event.data)));
  }

  function shut() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  async function refused() {
    shut();
    const now = await get("/about").catch(() => null);
    if (!now || (now.needs_token && !now.role)) return lost();
    if (state !== "full") tell("full");
    state = "full";
    look();
    retry = setTimeout(open, FULL);
  }

  // What is not told is looked at.
  async function look() {
    clearTimeout(looks);
    if (state !== "full") return;
    const now = await get("/about").catch(() => null);
    if (state !== "full") return;
    if (!now) return lost();
    tell("looked", { about: now, restarted: false });
    looks = setTimeout(look, LOOKED);
  }

  function lost() {
    shut();
    if (state !== "lost") tell("lost", { since: Date.now() });
    state = "lost";
    retry = setTimeout(open, 1000 * PATIENCE[Math.min(tries++, PATIENCE.length - 1)]);
    ask();
  }

  async function back() {
    const now = await ask();
    if (!now || !source) return;
    tries = 0;
    const missed = state !== "new";
    state = "open";
    if (missed) tell("again", { about: now, restarted: now.watch?.started !== started });
    started = now.watch?.started;
  }

  async function ask() {
    try {
      const now = await get("/about");
      if (now.needs_token && !now.role) return void tell("out");
      if (state !== "lost") tell("about", now);
      return now;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 0 && source) lost();
    }
  }

  // A browser lends a site six connections: windows behind others must not hold them all.
  function seen() {
    clearTimeout(rest);
    if (document.hidden) rest = setTimeout(() => { shut(); state = "rest"; }, HIDDEN);
    else if (state === "rest") open();
  }

  document.addEventListener("visibilitychange", seen);
  addEventListener("online", () => state === "lost" && open());
  setInterval(() => {
    if (state === "rest") tell("glance");
    else if (source) ask();
  }, ASKED);
  open();
}
