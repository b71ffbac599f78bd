// What people changed: one row a change.
import { get } from "./api.js";
import { el, fill } from "./dom.js";
import { clipHash } from "./clips.js";
import { labelOf } from "./fleet.js";
import { moment } from "./shown.js";
import { t } from "./words.js";

const AT_ONCE = 50;
const VERBS = {
  "acknowledge": () => t("audit.acknowledge"), "shelve": () => t("audit.shelve"), "unshelve": () => t("audit.unshelve"), "note": () => t("audit.note"),
  "call normal": () => t("audit.normal"), "call a fault": () => t("audit.fault"), "take back": () => t("audit.back"),
  "draw thresholds": () => t("audit.threshold"), "send": () => t("audit.send"), "remove": () => t("audit.remove"), "use": () => t("audit.use"), "fit": () => t("audit.fit"),
};

export async function show(place, asked, page) {
  const body = el("tbody", {});
  const table = el("div", { class: "scroll" });
  const none = el("p", { class: "note", role: "status" });
  const older = el("button", { class: "plain noprint", hidden: true }, t("audit.older"));
  const labelled = el("p", { class: "noprint", hidden: true }, el("a", { href: "/api/labelled.zip", download: "labelled.zip" }, t("audit.labelled")));
  let next = null;
  await page.fleet.ready?.catch(() => {});
  const more = async (before) => {
    const found = await get(`/audit?${new URLSearchParams({ limit: AT_ONCE, ...(before ? { before } : {}) })}`);
    next = found.next;
    older.hidden = !next;
    const lines = found.rows.map((row) => line(row, page.fleet));
    labelled.hidden &&= !found.rows.some((row) => row.verb.startsWith("call "));
    if (before) body.append(...lines);
    else fill(body, lines);
    table.hidden = !body.children.length;
    fill(none, body.children.length ? "" : t("audit.none"));
  };
  older.addEventListener("click", () => more(next).catch((error) => page.say(error.message || t("lost.now"), "bad")));
  await more();
  page.on("again", () => more().catch(() => {}));
  const head = (word) => el("th", { scope: "col" }, word);
  fill(place, el("div", { class: "wide-view" }, el("h1", {}, t("audit")), el("p", { class: "note" }, t("audit.lead")), labelled,
    fill(table, el("table", { class: "audit" },
      el("thead", {}, el("tr", {}, head(t("audit.when")), head(t("audit.who")), head(t("audit.verb")), head(t("audit.about")), head(t("audit.outcome")))), body)),
    none, older));
}

function line(row, fleet) {
  const [, refused] = /^refused: (.*)$/s.exec(row.outcome) ?? [];
  const [, more = ""] = /^done: (.*)$/s.exec(row.outcome) ?? [];
  return el("tr", {}, el("th", { scope: "row", class: "when" }, moment(row.at)),
    el("td", { class: "who" }, row.who ? el("bdi", {}, row.who) : el("span", { class: "note" }, t("audit.nobody")),
      el("small", {}, t("audit.from", { role: row.role, address: row.address }))),
    el("td", {}, VERBS[row.verb]?.() ?? el("span", { lang: "en" }, row.verb)),
    el("td", { class: "about", lang: "en" }, about(row, fleet)),
    el("td", { class: refused ? "refused" : "" }, refused ? [t("audit.refused"), " ", el("span", { lang: "en" }, refused)]
      : /^done/.test(row.outcome) ? [t("audit.done"), more && el("small", { lang: "en" }, more)] : row.outcome || t("audit.running")));
}

// "pump: a.wav of 2026-03-10 20:00:00; to be learnt; clip 9f86…" leads to the clip, by its name if it is said.
function about(row, fleet) {
  const [, said, digest] = /^(.*)\bclip ([0-9a-f]{64})$/s.exec(row.about) ?? [];
  const one = digest && fleet.all.find((machine) => said.startsWith(`${labelOf(machine)}: `));
  if (!one) return row.about;
  const rest = said.slice(labelOf(one).length + 2).replace(/; $/, "");
  const [, name, more] = /^(.*? of [\d: -]+)(.*)$/s.exec(rest) ?? [null, rest, ""];
  return [`${labelOf(one)}: `, el("a", { href: clipHash(one, digest), title: digest.slice(0, 12) }, name || t("audit.clip", { id: digest.slice(0, 8) })), more];
}
