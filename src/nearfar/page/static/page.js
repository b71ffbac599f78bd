// The page: who looks, what they look at, and what is new.
import { ApiError, get } from "./api.js";
import { dress, el, fill } from "./dom.js";
import { Fleet, machineHash } from "./fleet.js";
import { listen } from "./live.js";
import { kept, keepWho, signIn, who } from "./session.js";
import { Shell } from "./shell.js";
import { LANGUAGES, speak, t } from "./words.js";

const VIEWS = { "": "tiles", m: "machine", c: "clip", audit: "audit", setup: "setup" };
const LOCAL = new Set(["tiles"]); // views that need no answer to be drawn
const DRESSED = { clip: "clip.css", setup: "clip.css" }; // views with a style sheet of their own
const DRAWN = 700; // ms after which views have drawn what is new
const main = document.getElementById("main");
const fleet = new Fleet();
const heard = new Map(); // event → those who are told
const toasts = new Map(); // number of an alarm → the news of it, until somebody answers
let about;
let shell;
let leave = null; // ends the view that is shown
let first = true;
let from = "";
let here = location.hash;

// What views are given. What they listen to ends with them; `signal` too.
class Page {
  constructor() {
    const ended = new AbortController();
    this.signal = ended.signal;
    this.end = () => ended.abort();
  }

  get about() { return about; }
  get role() { return about.role; }
  get fleet() { return fleet; }
  get mayChange() { return about.role === "operator"; }

  on(event, fn) {
    if (!heard.has(event)) heard.set(event, new Set());
    const told = (data) => fn(data);
    heard.get(event).add(told);
    const off = () => heard.get(event).delete(told);
    this.signal.addEventListener("abort", off);
    return off;
  }

  get from() { return from; } // the view before this one

  go(hash) {
    if (location.hash === hash) route();
    else location.hash = hash;
  }

  who() { return who(); }
  keepWho(name) { keepWho(name); }
  say(line, kind) { shell.say(line, kind); }
  counted() { count(); }
  tell(event, data) { tell(event, data); }
}

function count() {
  shell.count({ machines: fleet.machines.size, alarms: fleet.waiting.length });
}

// All machines, once there is something behind the page.
function gather() {
  if (about.ready === false) return;
  fleet.again().then(count, () => {});
}

function tell(event, data) {
  if (event === "out") return void location.reload();
  if (event === "about") {
    const fitted = about.ready === false && data.ready;
    about = shell.about = data;
    if (fitted) shell.draw(); // nothing is to be set up any more
    if (fitted) gather();
  }
  if (event === "glance") return void gather(); // its title tells of alarms though nobody sees the window
  if (event === "bulletin") take(data);
  if (event === "answered") toasts.get(data.id)?.remove();
  if (event === "about") shell.connection(null);
  if (event === "full") shell.full();
  if (event === "lost") shell.connection(data.since);
  if (event === "again" || event === "looked") return void again(data, event === "looked");
  for (const fn of heard.get(event) ?? []) fn(data);
}

function take({ machine, events = [] }) {
  if (!fleet.take(machine)) fleet.load().then(count, () => {}); // one that is new: its rate is not known yet
  if (fleet.stale) {
    fleet.stale = false;
    fleet.ask().then(() => tell("said", machine), () => {});
  }
  count();
  for (const one of events) if (one.verb !== "raised") toasts.get(one.alarm)?.remove(); // answered elsewhere, or over
  const raised = events.filter((one) => one.verb === "raised" && !one.silent);
  if (raised.length) setTimeout(() => raised.forEach(raise), DRAWN);
}

// An alarm whose card stands in the view is read out, and not shown twice.
function raise(one) {
  const seen = document.querySelector(`.alarms li[data-id="${one.alarm}"]`);
  toasts.set(one.alarm, shell.say(t("news.raised", { told: one.told }), seen ? "alarm unseen" : "alarm", machineHash(one)));
}

// Nobody knows what was missed: all is asked for anew.
async function again(data, looked = false) {
  const was = about;
  about = shell.about = data.about;
  await fleet.again().catch(() => {});
  if (data.about.role !== was.role || data.about.can_setup !== was.can_setup) shell.draw();
  if (!looked) shell.connection(null);
  count();
  if (data.restarted) shell.say(t("again.restarted"));
  const told = heard.get("again");
  if (told?.size) for (const fn of told) fn(data);
  else if (!looked) route();
}

// "#/c/pump/00/9f86?at=7" → the view "clip", and what it is asked.
function asked() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(plain);
  const [machine, section, digest] = rest;
  return { name, view: VIEWS[name], asked: { machine, section, digest, ...Object.fromEntries(new URLSearchParams(query)) } };
}

function plain(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

async function route() {
  // While nobody answers nothing else can be fetched: what is shown stays.
  if (shell.since !== null && main.querySelector(".view h1") && location.hash !== here && !LOCAL.has(asked().view)) {
    history.replaceState(null, "", here || "#/");
    return void shell.say(t("lost.stays"), "bad");
  }
  leave?.();
  if (location.hash !== here) [from, here] = [here, location.hash];
  if (fleet.failed) gather();
  for (const told of toasts.values()) if (told.matches(".unseen")) told.remove();
  const page = new Page();
  leave = page.end;
  shell.here();
  const place = el("div", { class: "view" });
  const { view, asked: given } = asked();
  const waits = setTimeout(() => page.signal.aborted || fill(main, el("div", { class: "waits", role: "status" }, t("waits"))), 300);
  let shown = false;
  // A view stands as soon as it has drawn something; what it still waits for comes later.
  const stand = () => {
    if (shown || page.signal.aborted || !place.firstChild) return;
    shown = true;
    clearTimeout(waits);
    fill(main, place);
    if (!first) focus(place);
    first = false;
  };
  const watched = new MutationObserver(stand);
  watched.observe(place, { childList: true });
  try {
    if (!view) throw new ApiError(404, t("view.none"));
    const [module] = await Promise.all([import(`./${view}.js`), view in DRESSED && dress(DRESSED[view])]);
    if (!page.signal.aborted) await module.show(place, given, page);
  } catch (error) {
    if (!page.signal.aborted) fail(place, error);
  } finally {
    clearTimeout(waits);
    stand();
    watched.disconnect();
  }
}

function focus(place) {
  scrollTo(0, 0);
  const heading = place.querySelector("h1") ?? main;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

function fail(place, error) {
  if (error instanceof ApiError && error.status === 401) return void location.reload();
  const line = error instanceof ApiError ? error.message || t("lost.now") : String(error);
  fill(place, el("div", { class: "alone", role: "alert" }, el("h1", {}, t("failed")), el("p", {}, line),
    el("div", { class: "row" }, el("button", { class: "primary", onclick: () => route() }, t("again")),
      el("a", { class: "button", href: "#/" }, t("to.machines")))));
  if (!(error instanceof ApiError)) throw error;
}

async function start() {
  const wanted = [kept("nearfar.language"), ...navigator.languages.map((one) => one.split("-")[0])];
  speak(wanted.find((one) => one in LANGUAGES));
  about = await known();
  if (about.needs_token && !about.role) {
    await signIn(main);
    about = await known();
  }
  shell = new Shell(about, route);
  shell.draw();
  gather();
  addEventListener("hashchange", route);
  listen(about, tell);
  if (about.can_setup && about.ready === false && !location.hash.startsWith("#/setup")) location.hash = "#/setup";
  else route();
}

// A page that is opened while nobody answers waits, as one that was open does.
async function known() {
  for (let wait = 1; ; wait = Math.min(10, 2 * wait)) {
    try {
      return await get("/about");
    } catch (error) {
      fill(main, el("div", { class: "alone", role: "alert" }, el("h1", {}, t("failed")), el("p", {}, error.message || t("lost.now"))));
      await new Promise((done) => setTimeout(done, 1000 * wait));
    }
  }
}

start();
