// What happens, as it happens: one stream of events, which comes back when it was lost.
import { ApiError, get } from "./api.js";

const EVENTS = ["bulletin", "label", "threshold", "setup"];
const PATIENCE = [1, 2, 4, 8, 10]; // s until the next try
const ASKED = 20000; // ms between questions whether the server is still there
const HIDDEN = 60000; // ms after which a window that nobody sees gives its connection back

// tell(event, data) gets every event of EVENTS, and besides:
//   "lost" { since }, "again" { about, restarted }, "about" about, "glance": time to look, where nothing is told, "out": the token holds no more.
export function listen(about, tell) {
  let source = null;
  let state = "new"; // "open", "lost", "rest": nobody sees the window
  let tries = 0;
  let started = about.watch?.started;
  let retry;
  let rest;

  function open() {
    clearTimeout(retry);
    source?.close();
    const mine = source = new EventSource("/api/events");
    mine.onopen = () => mine === source && back();
    mine.onerror = () => mine === source && lost();
    for (const name of EVENTS) mine.addEventListener(name, (event) => tell(name, JSON.parse(event.data)));
  }

  function shut() {
    clearTimeout(retry);
    source?.close();
    source = null;
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
