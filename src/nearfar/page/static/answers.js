// What a person answers: this was normal, this was a fault, and from what score on a machine is anomalous.
import { del, get, of, post, put } from "./api.js";
import { ask, field, nameField } from "./dialog.js";
import { el, fill } from "./dom.js";
import { minus } from "./shown.js";
import { language, t } from "./words.js";

const NOTE_LENGTH = 500; // characters
const [LOOKS, LOOK] = [12, 500]; // times and ms between them that a watch is waited for
const ROSE = 2; // times as high as before: a threshold at which people are warned

// To so many digits that count.
export const figures = (value, digits = 3) =>
  value === null || value === undefined ? "–" : minus(new Intl.NumberFormat(language, { maximumSignificantDigits: digits }).format(value));

// What the server said, or that nobody answered.
export const lineOf = (error) => (error.status === 0 ? t("lost.now") : error.message);
// Words of the server are English whatever the page speaks.
export const theirs = (tag, attributes, ...children) => el(tag, { lang: "en", ...attributes }, ...children);

// The looks of these views, fetched with the first of them: the first page is lighter without.
let dress = null;
export function dressed() {
  dress ??= new Promise((done) => {
    document.head.append(el("link", { rel: "stylesheet", href: "/static/clip.css", onload: done, onerror: done }));
  });
  return dress;
}

// A dialog that gives what the server answered; null where somebody thought better of it.
async function answered(question, send) {
  let said = null;
  await ask({ ...question, act: async (values) => { said = await send(values); } });
  return said;
}

const notes = () => field(t("clip.note"), el("textarea", { name: "note", rows: 2, maxlength: NOTE_LENGTH }));

// "This was normal": learn it, or only note it. Gives {label, learnt} or null.
function sayNormal(one, clip) {
  const radio = (value, title, told, checked) =>
    el("label", { class: "clip-radio" }, el("input", { type: "radio", name: "learn", value, checked, onchange: shown }),
      el("span", {}, el("b", {}, title), el("small", {}, told)));
  const domain = el("select", { name: "domain" }, el("option", { value: "source" }, t("clip.domain.source")), el("option", { value: "target" }, t("clip.domain.target")));
  const domains = field(t("clip.domain"), domain, t("clip.domain.told"));
  const learning = el("fieldset", {}, el("legend", {}, t("clip.normal.what")),
    radio("yes", t("clip.normal.learn"), t("clip.normal.learn.told"), true), radio("", t("clip.normal.only"), t("clip.normal.only.told"), false));
  function shown() {
    domains.hidden = !learning.querySelector("input:checked").value;
  }
  return answered(
    { title: t("clip.normal.title"), done: t("clip.normal"), fields: [el("p", { class: "banner" }, t("clip.normal.listen")), learning, domains, notes(), nameField()] },
    ({ who, note, learn, domain: of_ }) => post(of(one, `/clips/${clip.digest}/normal`), { who, note, learn: Boolean(learn), domain: of_ }));
}

function sayFault(one, clip) {
  return answered({ title: t("clip.fault.title"), lead: t("clip.fault.told"), done: t("clip.fault"), fields: [notes(), nameField()] },
    ({ who, note }) => post(of(one, `/clips/${clip.digest}/fault`), { who, note }));
}

export function undo(one, clip) {
  return answered({ title: t("clip.undo.title"), lead: t(clip.learnt ? "clip.undo.learnt" : "clip.undo.told"), done: t("clip.undo"), fields: [nameField()] },
    ({ who }) => del(of(one, `/clips/${clip.digest}/label`, { who })));
}

// The alarms that a clip belongs to: those that it raised, and those that stood at its time, by the
// clock of the clips.
export async function alarmsOf(one, clip, fleet) {
  const until = new Date(clip.at_ms + 1).toISOString();
  const [{ alarms }] = await Promise.all([get(of(one, "/timeline", { since: clip.at, until, points: 1 })), fleet.ask()]);
  return alarms.filter((alarm) => alarm.digest === clip.digest || (alarm.state !== "closed" && clip.at_ms >= alarm.from_ms && clip.at_ms <= (alarm.to_ms ?? Infinity)));
}

// How it came out that a clip was learnt: what a person must know, then the server's own lines.
function learntSaid({ known, threshold, told }) {
  const [was, now] = threshold;
  const line = t("clip.learnt", { a: figures(known[0], 9), b: figures(known[1], 9), c: figures(was), d: figures(now) });
  return { line, warning: now > ROSE * was ? t("clip.learnt.rose", { n: figures(now / was, 2) }) : "", told: told ?? [] };
}

// A watch takes up what was learnt or forgotten within seconds; until then its clip is as it was.
async function settled(one, clip, learnt, page) {
  for (let n = 0; n < LOOKS && !page.signal?.aborted; n += 1) {
    const now = await get(of(one, `/clips/${clip.digest}`)).catch(() => null);
    if (now && now.learnt === learnt) return true;
    await new Promise((done) => setTimeout(done, LOOK));
  }
  return false;
}

// What came of taking an answer back: that it was, and the threshold that stands again.
async function takeBack(one, clip, page, changed) {
  const said = await undo(one, clip);
  if (!said) return;
  const [known, threshold] = [said.forgotten?.known, said.forgotten?.threshold];
  const line = said.forgotten
    ? t("clip.undone.threshold", { a: figures(known[0], 9), b: figures(known[1], 9), c: figures(threshold[0]), d: figures(threshold[1]) })
    : t("clip.undone");
  changed({ line });
  if (said.forgotten && (await settled(one, clip, false, page))) changed({ line });
}

// The buttons under a clip. `changed(said)` is called after each answer with a line of how it came out.
export function answers(one, clip, page, changed) {
  const reader = page.role !== "operator";
  const barred = reader ? t("clip.reader") : clip.kept ? "" : t("clip.notkept");
  const button = (key, tone, mark, act, told) => el("button", {
    type: "button", class: tone, disabled: Boolean(barred), "aria-describedby": barred ? "clip-barred" : null,
    onclick: async () => {
      const said = await act(one, clip);
      if (!said) return;
      changed(told(said));
      if (said.learnt && (await settled(one, clip, true, page))) changed(told(said));
    },
  }, el("span", { "aria-hidden": "true" }, mark), " ", t(key));
  const normal = (said) => (said.learnt ? learntSaid(said.learnt) : { line: t("clip.noted") });
  // What was learnt before a crash may have no answer beside it; it can be taken back all the same.
  const given = clip.label || clip.learnt
    ? [el("span", { class: "clip-given" }, clip.label ? t(`clip.is.${clip.label}`) : "", clip.learnt && el("small", {}, " ", t("clip.is.learnt"))),
        el("button", {
          type: "button", disabled: reader, title: reader ? t("clip.reader") : null,
          onclick: () => takeBack(one, clip, page, changed),
        }, t("clip.undo"))]
    : [el("span", { class: "clip-asked" }, t("clip.asked")), button("clip.normal", "good", "●", sayNormal, normal),
        button("clip.fault", "alarm", "▲", sayFault, () => ({ line: t("clip.fault.kept") }))];
  return el("section", { class: "clip-answers noprint", "aria-label": t("clip.answers") },
    el("div", { class: "clip-buttons" }, given), barred && !clip.label && !clip.learnt && el("small", { id: "clip-barred" }, barred));
}

// From what score on the machine is anomalous: shown, and changed without a new fit.
export async function showThreshold(one, page) {
  let now;
  try {
    now = await get(of(one, "/threshold"));
  } catch (error) {
    page.say(lineOf(error), "bad");
    return null;
  }
  const reader = page.role !== "operator";
  const rate = el("input", {
    type: "number", name: "rate", min: 0.01, max: 50, step: "any", required: true, inputmode: "decimal", disabled: reader,
    value: Number((100 * now.false_alarm_rate).toPrecision(4)), oninput: shown,
  });
  const means = el("p", { class: "note", "aria-live": "polite" });
  function shown() {
    const share = Number(rate.value) / 100;
    const few = share > 0 && share * (now.normals + 1) < 1;
    fill(means, t("clip.rate.means", { n: figures(1000 * share) }), few && [" ", t("clip.rate.few", { n: figures(now.normals, 9) })]);
  }
  shown();
  const others = now.machines.length > 1 && el("p", { class: "banner bad" }, t("clip.rate.others", { names: now.machines.map(nameOf).join(", ") }));
  const facts = el("dl", { class: "facts" }, el("div", {}, el("dt", {}, t("m.threshold")), el("dd", {}, figures(now.threshold, 4))),
    el("div", {}, el("dt", {}, t("clip.normals")), el("dd", {}, figures(now.normals, 9))));
  const said = await answered({
    title: t("clip.rate.title", { machine: one.machine }), lead: t("clip.rate.told"), done: t("clip.rate.set"),
    fields: [facts, field(t("clip.rate"), rate, reader ? t("clip.reader") : ""), means, others, nameField()],
  }, ({ who }) => put(of(one, "/threshold"), { false_alarm_rate: Number(rate.value) / 100, who }));
  if (said?.threshold) page.say(t("clip.rate.done", { a: figures(now.threshold, 4), b: figures(said.threshold, 4) }), "good");
  return said;
}

const nameOf = (machine) => (typeof machine === "string" ? machine : machine.label ?? machine.machine ?? machine.join(" "));
