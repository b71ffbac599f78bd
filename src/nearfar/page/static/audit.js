// What people changed: one row a change.
import { get } from "./api.js";
import { el, fill } from "./dom.js";
import { moment } from "./shown.js";
import { t } from "./words.js";

const AT_ONCE = 50;

export async function show(place, asked, page) {
  const body = el("tbody", {});
  const none = el("p", { class: "note", role: "status" });
  const older = el("button", { class: "plain noprint", hidden: true }, t("audit.older"));
  let next = null;
  const more = async (before) => {
    const found = await get(`/audit?${new URLSearchParams({ limit: AT_ONCE, ...(before ? { before } : {}) })}`);
    next = found.next;
    older.hidden = !next;
    const lines = found.rows.map(line);
    if (before) body.append(...lines);
    else fill(body, lines);
    fill(none, body.children.length ? "" : t("audit.none"));
  };
  older.addEventListener("click", () => more(next).catch((error) => page.say(error.message || t("lost.now"), "bad")));
  await more();
  page.on("again", () => more().catch(() => {}));
  const head = (word) => el("th", { scope: "col" }, word);
  fill(place, el("div", { class: "wide-view" }, el("h1", {}, t("audit")), el("p", { class: "note" }, t("audit.lead")),
    el("div", { class: "scroll" }, el("table", { class: "audit" },
      el("thead", {}, el("tr", {}, head(t("audit.when")), head(t("audit.who")), head(t("audit.verb")), head(t("audit.about")), head(t("audit.outcome")))), body)),
    none, older));
}

function line(row) {
  const refused = row.outcome.startsWith("refused");
  return el("tr", {}, el("th", { scope: "row", class: "when" }, moment(row.at)),
    el("td", { class: "who" }, row.who ? el("bdi", {}, row.who) : el("span", { class: "note" }, t("audit.nobody")),
      el("small", {}, t("audit.from", { role: row.role, address: row.address }))),
    el("td", { lang: "en" }, row.verb), el("td", { class: "about", lang: "en" }, row.about),
    el("td", { class: refused ? "refused" : "" }, row.outcome || t("audit.running")));
}
