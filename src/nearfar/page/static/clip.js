// One clip: what was found, how it sounds, why, and what people said of it.
import { alarmRow } from "./alarms.js";
import { get, of } from "./api.js";
import { alarmsOf, answers, dressed, figures, lineOf, theirs } from "./answers.js";
import { el, fill } from "./dom.js";
import { player } from "./player.js";
import { kept, keep } from "./session.js";
import { chance, level, minus, moment, over } from "./shown.js";
import { chip, faultWord, verdictOf } from "./states.js";
import { language, t } from "./words.js";

const PHONE = "(max-width: 40rem)"; // as the pictures are drawn for it
const KEYS = "nearfar.keys"; // "off": keys without Ctrl are the browser's alone
const NEAR = 15 * 60e3; // ms within which the next clip is sought first
const hash = (one, digest) => ["#/c", one.machine, one.section, digest].map((part, n) => (n ? encodeURIComponent(part) : part)).join("/");
const DAY = 24 * 3600e3; // ms

// Back to where one was in the timeline, as the browser remembers it; else to the day of the clip.
function timeline(one, clip = null) {
  const path = `#/m/${encodeURIComponent(one.machine)}/${encodeURIComponent(one.section)}`;
  if (!clip) return path;
  const come = [...(globalThis.navigation?.entries?.() ?? [])].slice(0, globalThis.navigation?.currentEntry?.index).reverse()
    .map((entry) => new URL(entry.url).hash).find((hash) => hash.split("?")[0] === path);
  const span = new URLSearchParams(come?.split("?")[1]);
  const inside = clip.at_ms >= Number(span.get("since")) && clip.at_ms <= Number(span.get("until"));
  return inside ? come : `${path}?since=${clip.at_ms - DAY / 2}&until=${clip.at_ms + DAY / 2}`;
}

export async function show(place, asked, page) {
  const one = { machine: asked.machine, section: asked.section ?? "00" };
  const view = { one, digest: asked.digest, page, keys: [], told: null, alive: () => !page.signal.aborted };
  view.root = el("article", { class: "clip" }, skeleton(t("clip.loading")));
  await dressed();
  fill(place, view.root);
  listen(view);
  try {
    view.clip = await get(of(one, `/clips/${asked.digest}`));
  } catch (error) {
    return fill(view.root, el("h1", {}, one.machine), failure(error, () => show(place, asked, page), one));
  }
  if (!view.alive()) return null;
  lay(view);
  explain(view);
  refresh(view);
  neighbourhood(view);
  return null;
}

// The parts that change stand in places of their own; what plays is never drawn anew.
function lay(view) {
  const { clip, one } = view;
  view.parts = Object.fromEntries(["why", "alarms", "player", "sound", "answers", "said", "more"].map((name) => [name, el("div", { class: `clip-part-${name}` })]));
  view.around = el("div", { class: "clip-around" });
  const parts = view.parts;
  const head = el("div", { class: "clip-head" },
    el("nav", { class: "clip-nav noprint", "aria-label": t("clip.nav") }, el("a", { href: timeline(one, clip), class: "clip-back" }, "‹ ", one.machine), view.around),
    el("div", { class: "clip-title" }, el("h1", { tabindex: "-1" }, moment(clip.time ?? clip.at)), chip(verdictOf(clip)), view.then = el("span", { class: "note" })),
    el("p", { class: "note" }, el("span", { class: "onpaper" }, one.machine, " · "), clip.status === "judged" && `${t("clip.over", { score: figures(clip.score), threshold: figures(clip.threshold) })} · `, el("code", { class: "clip-name" }, clip.name)));
  fill(view.root, head, parts.alarms, parts.why, parts.player, parts.answers, parts.said, parts.sound, facts(clip), parts.more);
  document.title = `${one.machine} · ${moment(clip.time ?? clip.at)}`;
}

function facts(clip) {
  const fact = (key, value, small, more) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, value, small && el("small", {}, small), more));
  const found = clip.status !== "judged" ? [] : [
    fact("clip.score", figures(clip.score), over(clip), meter(clip)),
    fact("clip.percentile", percent(clip.percentile, clip.percentile > 0.99 && clip.percentile < 1 ? 1 : 0), t("clip.percentile.told")),
    clip.p_value !== null && fact("m.p", chance(clip.p_value), asHigh(clip)),
  ];
  return el("dl", { class: "facts" }, found,
    fact("clip.levels", t("clip.levels.near", { n: level(clip.near_level, "dB") }),
      clip.far_level !== null && t("clip.levels.far", { n: level(clip.far_level, "dB"), r: level(clip.ratio, "dB") })),
    fact("clip.length", clip.seconds === null ? "–" : `${figures(clip.seconds)} s`, t("clip.arrived", { at: moment(clip.arrived) })));
}

// How many of the normal clips scored as high: p is (k + 1) / (n + 1), and 1 − percentile is k / n.
function asHigh({ p_value: p, percentile }) {
  const more = 1 - percentile;
  const n = Math.round((1 - p) / (p - more));
  if (!(n > 0 && n < 1e6)) return null; // all are as high, or the numbers are not of one detector
  const k = Math.round(more * n);
  return k ? t("clip.p.some", { n: k, m: n }) : t("clip.p.none", { m: n });
}

// Score against threshold, for the eye; the numbers stand beside it.
function meter(clip) {
  if (!(clip.threshold > 0) || clip.score < 0) return null;
  const top = 1.15 * Math.max(clip.score, clip.threshold);
  return el("span", { class: `clip-meter ${clip.anomalous ? "alarm" : "fine"}`, "aria-hidden": "true",
    style: { "--score": `${(100 * clip.score) / top}%`, "--threshold": `${(100 * clip.threshold) / top}%` } }, el("i"), el("b"));
}

async function explain(view) {
  const { parts, clip, one } = view;
  if (!clip.kept) return fill(parts.why, sensors(clip), el("p", { class: "banner" }, t("clip.notkept"), " ", t("clip.notkept.do")));
  fill(parts.why, sensors(clip), skeleton(t("clip.explaining")));
  fill(parts.sound, drawing());
  let found;
  try {
    found = await get(of(one, `/clips/${clip.digest}/explanation`));
  } catch (error) {
    if (view.alive()) fill(parts.why, sensors(clip), failure(error, () => explain(view)));
    fill(parts.sound);
    return null;
  }
  if (!view.alive()) return null;
  fill(parts.why, reasons(found, clip));
  if (found.sounds?.length) sound(view, found);
  else fill(parts.sound);
  fill(parts.more, moves(found), nearest(found), more(found));
  return null;
}

function sensors(clip) {
  if (clip.faults.length === 0 && !clip.warning) return null;
  return el("div", { class: "banner bad" }, clip.faults.length > 0 && el("b", {}, t("clip.microphones")), " ",
    clip.faults.map(faultWord).join(", "), clip.warning && theirs("p", {}, clip.warning));
}

function reasons(found, clip) {
  if (found.sensor?.length) {
    const list = el("ul", {}, found.sensor.map((line) => theirs("li", {}, line)));
    // What was learnt has no news of microphones: only that it is known by now.
    return clip.learnt ? el("div", { class: "banner" }, list) : el("div", { class: "banner bad" }, el("b", {}, t("clip.microphones")), list);
  }
  const why = found.why ? `${found.why[0].toUpperCase()}${found.why.slice(1)}${/[.!?]$/.test(found.why) ? "" : "."}` : clip.warning;
  return why ? theirs("p", { class: `banner ${clip.anomalous ? "bad" : ""}` }, why) : null;
}

function sound(view, found) {
  const made = player(found.sounds);
  view.keys.push(made.key);
  const hint = el("p", { class: "note clip-keys noprint" }, el("span", {}, hints(found.sounds.length)), keySwitch());
  made.box.append(hint);
  fill(view.parts.player, made.box);
  fill(view.parts.sound, picture(found, made), found.cut > 0 && el("p", { class: "note" }, t("clip.cut", { n: figures(found.cut) })),
    found.missing && theirs("p", { class: "note" }, found.missing));
}

function hints(sounds) {
  const key = (name) => el("kbd", {}, name);
  return [key(t("clip.key.space")), ` ${t("clip.key.plays")} · `, key("1"), "–", key(String(sounds)), ` ${t("clip.key.switch")} · `, key("←"), key("→"),
    ` ${t("clip.key.second")} · `, key("L"), ` ${t("clip.player.loop")} · `, key(`${t("clip.key.shift")} ←`), key("→"), ` ${t("clip.key.clips")} `];
}

// Keys without Ctrl can be in the way of people who speak to their computer: they can be switched off.
function keySwitch() {
  const box = el("input", { type: "checkbox", checked: kept(KEYS) !== "off", onchange: () => keep(KEYS, box.checked ? "on" : "off") });
  return el("label", { class: "clip-keyswitch" }, box, t("clip.key.on"));
}

const drawing = () => el("p", { class: "clip-drawing note", role: "status" }, t("clip.picture.drawing"));

// The spectrograms with a line over them at the second that is heard; a click goes there.
function picture(found, made) {
  const [desk, phone] = ["desk", "phone"].map((kind) => found.pictures?.find((one) => one.kind === kind));
  if (!desk && !phone) return null;
  const shape = () => (phone && (!desk || matchMedia(PHONE).matches) ? phone : desk);
  const line = el("div", { class: "playhead noprint", hidden: true });
  const image = el("img", { src: (desk ?? phone).url, alt: t("clip.picture.alt"), class: "clip-image", onload: () => waits.remove(), onerror: () => fill(figure, el("p", { class: "note" }, t("clip.picture.none"))) });
  const waits = drawing();
  const seek = (event) => {
    const [area, { left, right, seconds }] = [image.getBoundingClientRect(), shape()];
    const share = ((event.clientX - area.left) / area.width - left) / (right - left);
    if (share > -0.02 && share < 1.02) made.deck.seek(share * seconds);
  };
  const frame = el("div", { class: "clip-frame", onclick: seek }, el("picture", {}, phone && desk && el("source", { media: PHONE, srcset: new URL(phone.url, location).href }), image), line, waits);
  const figure = el("figure", { class: "clip-picture" }, frame, el("figcaption", { class: "note" }, el("span", { class: "noprint" }, t("clip.picture.click")), " ", t("clip.picture.told")));
  made.follow((now, _, playing) => {
    const { left, right, seconds } = shape();
    line.hidden = (now === 0 && !playing) || now > seconds + 0.05;
    line.style.setProperty("left", `${100 * (left + (right - left) * (now / seconds))}%`);
  });
  return figure;
}

function moves(found) {
  if (!found.moves?.length) return null;
  const item = (move) => el("li", { class: move.amount < 0 ? "down" : "up" },
    el("span", {}, el("span", { "aria-hidden": "true" }, move.amount < 0 ? "▼ " : "▲ "), theirs("span", {}, move.sentence)),
    el("span", { class: "by" }, `${signed(move.amount)} ${move.unit.replace("sd", "σ")} · ${percent(move.share, 0)}`),
    el("span", { class: "clip-share", "aria-hidden": "true" }, el("i", { style: { width: `${Math.min(100, 100 * move.share).toFixed(1)}%` } })));
  return el("section", {}, el("h2", {}, t("clip.moves")), el("p", { class: "note" }, t("clip.moves.told")), el("ol", { class: "moves" }, found.moves.map(item)));
}

const percent = (share, digits = 1) =>
  new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(share);
const signed = (value) => minus(new Intl.NumberFormat(language, { signDisplay: "exceptZero", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(value));

function nearest(found) {
  if (!found.neighbours?.length) return null;
  const row = (one) => el("tr", {}, el("td", { class: "name" }, one.name, one.made && el("small", {}, ` (${t("clip.made")})`)),
    el("td", {}, one.domain ? t(`clip.domain.${one.domain}`) : "–"), el("td", { class: "n" }, figures(one.distance)));
  return el("section", {}, el("h2", {}, t("clip.neighbours")), el("p", { class: "note" }, t("clip.neighbours.told")),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("clip.neighbours") }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, t("clip.neighbour")), el("th", {}, t("clip.domain.short")), el("th", { class: "n" }, t("clip.distance")))),
      el("tbody", {}, found.neighbours.map(row)))));
}

function more(found) {
  if (!found.lines?.length) return null;
  return el("details", {}, el("summary", {}, t("clip.lines")), theirs("pre", {}, el("code", {}, found.lines.join("\n"))));
}

// What people said of the clip, and the alarm that it belongs to.
async function refresh(view, told = view.told) {
  view.told = told;
  const { page, one, clip, parts } = view;
  const changed = async (lines) => {
    view.clip = await get(of(one, `/clips/${clip.digest}`)).catch(() => view.clip);
    if (!view.alive()) return;
    await refresh(view, lines);
    view.parts.said.querySelector("[role=status]")?.focus({ preventScroll: true });
  };
  fill(view.then, clip.learnt && t("clip.then"));
  fill(parts.answers, answers(one, clip, page, changed));
  fill(parts.said, result(told), said(view));
  const alarms = await alarmsOf(one, clip, page.fleet).catch(() => []);
  const mine = alarms.map((alarm) => alarmRow(alarm, page, false, clip.digest));
  if (view.alive()) fill(parts.alarms, mine.length > 0 && el("ul", { class: "alarms" }, mine));
}

// What came of the last answer, the words of a person first.
function result(told) {
  if (!told) return null;
  return el("div", { class: "banner clip-result", role: "status", tabindex: "-1" }, el("p", {}, el("b", {}, told.line)),
    told.warning && el("p", { class: "clip-warning" }, el("span", { "aria-hidden": "true" }, "▲ "), told.warning),
    told.told?.map((line) => theirs("small", {}, line)));
}

function said({ clip }) {
  if (!clip.labels?.length) return null;
  const item = (label) => el("li", { class: label.undone ? "undone" : "" },
    el("b", {}, el("span", { "aria-hidden": "true" }, label.label === "fault" ? "▲ " : "● "), t(`clip.said.${label.label}`)), " ",
    t("clip.said.by", { who: label.who || t("clip.somebody"), at: moment(label.at) }), label.learnt && ` · ${t("clip.is.learnt")}`,
    label.undone && ` · ${t("clip.said.undone", { at: moment(label.undone) })}`, label.note && el("q", { class: "clip-note" }, label.note));
  return el("section", {}, el("h2", {}, t("clip.said")), el("ul", { class: "clip-labels" }, clip.labels.map(item)));
}

// The clips before and after this one, of the same machine.
async function neighbourhood(view) {
  const [older, newer] = await Promise.all([before(view), after(view)]);
  if (!view.alive()) return;
  view.older = older;
  view.newer = newer;
  const link = (to, key, mark) => (to
    ? el("a", { href: hash(view.one, to.digest), "aria-keyshortcuts": mark === "←" ? "Shift+ArrowLeft" : "Shift+ArrowRight", title: moment(to.time ?? to.at) }, mark === "←" && "← ", t(key), mark === "→" && " →")
    : el("span", { class: "none" }, mark === "←" && "← ", t(key), mark === "→" && " →"));
  fill(view.around, link(older, "clip.older", "←"), link(newer, "clip.newer", "→"));
}

const later = (a, b) => a.at_ms - b.at_ms || a.row - b.row;

async function before({ one, clip }) {
  const said = await get(of(one, "/clips", { until: clip.at, limit: 20 })).catch(() => ({ clips: [] }));
  return said.clips.find((other) => later(other, clip) < 0) ?? null;
}

// Clips come newest first: what follows is sought in a window that grows until it holds one.
async function after({ one, clip }) {
  for (let span = NEAR; ; span *= 24) {
    const until = new Date(clip.at_ms + span).toISOString();
    const said = await get(of(one, "/clips", { since: clip.at, until, limit: 500 })).catch(() => ({ clips: [] }));
    const found = said.clips.filter((other) => later(other, clip) > 0);
    if (found.length) return found[found.length - 1];
    if (clip.at_ms + span > Date.now()) return null;
  }
}

function listen(view) {
  view.page.on("answered", () => view.clip && refresh(view));
  view.page.on("bulletin", ({ events = [] }) => view.clip && events.length > 0 && refresh(view));
  const anew = () => view.clip && get(of(view.one, `/clips/${view.digest}`)).then((clip) => { view.clip = clip; return refresh(view); }, () => {});
  view.page.on("label", (said) => (said.digest ?? said.label?.digest) === view.digest && anew());
  view.page.on("again", anew); // what plays goes on
  document.addEventListener("keydown", (event) => key(view, event), { signal: view.page.signal });
}

function key(view, event) {
  if (event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const on = event.target;
  const to = event.key === "ArrowLeft" ? view.older : event.key === "ArrowRight" ? view.newer : null;
  if (on.closest?.("textarea, select, input:not([type=range]):not([type=checkbox])")) return;
  if (event.shiftKey) {
    if (to) view.page.go(hash(view.one, to.digest));
    return;
  }
  if (event.key === " " && on.closest?.("button, a, summary, input[type=checkbox]")) return;
  // Within the player its keys are always its own.
  if (kept(KEYS) === "off" && !on.closest?.(".clip-player")) return;
  if (view.keys.some((one) => one(event))) event.preventDefault();
}

function skeleton(words) {
  return el("div", { class: "clip-skeleton", role: "status", "aria-busy": "true" }, el("p", {}, words), el("i"), el("i"), el("i"));
}

function failure(error, again, one = null) {
  const way = error.status === 410 ? t("clip.notkept.do") : error.status === 404 ? t("clip.gone.do") : t("clip.again.do");
  return el("div", { class: "banner bad", role: "alert" }, theirs("p", {}, el("b", {}, lineOf(error))), el("p", {}, way),
    el("p", { class: "noprint" }, one && el("a", { href: timeline(one) }, t("clip.back", { machine: one.machine })), " ",
      ![404, 410].includes(error.status) && el("button", { type: "button", onclick: again }, t("again"))));
}
