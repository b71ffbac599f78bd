// What stays while views change: the header, the banner when nobody answers, and short news.
import { el, fill, write } from "./dom.js";
import { ask, nameField } from "./dialog.js";
import { keep, signOut, who } from "./session.js";
import { shape } from "./states.js";
import { moment, seconds } from "./shown.js";
import { LANGUAGES, language, speak, t } from "./words.js";

const READ = 10000; // ms that news stay; an alarm that no card of the view shows stays until it is answered
const MOST = 4; // news at once

export class Shell {
  constructor(about, anew) {
    this.about = about;
    this.anew = anew; // draws the view again, in another language
    this.since = null;
    this.counts = null;
    // "3 min ago" says nothing on paper without the time of the print.
    addEventListener("named", () => this.name && fill(this.name, who() || t("name.none")));
    addEventListener("beforeprint", () => this.stamp());
  }

  draw() {
    const { about } = this;
    fill(document.getElementById("skip"), t("skip"));
    this.sum = el("p", { class: "sum", id: "sum" });
    this.state = el("span", { class: "link", role: "status" }, el("span", {}));
    this.links = el("nav", { "aria-label": t("nav") },
      el("a", { href: "#/" }, t("machines")),
      el("a", { href: "#/audit" }, t("audit")),
      about.can_setup && about.role === "operator" && el("a", { href: "#/setup" }, t("setup.link")));
    const tongue = el("select", { "aria-label": t("language"), onchange: () => this.speak(tongue.value) },
      Object.entries(LANGUAGES).map(([key, name]) => el("option", { value: key, lang: key, selected: key === language }, name)));
    const side = el("div", { class: "side noprint", id: "side" }, tongue, this.person(),
      about.needs_token && el("button", { class: "quiet", onclick: () => signOut() }, t("sign.out")));
    // On a phone these wait behind a button.
    const menu = el("button", { class: "quiet menu noprint", "aria-label": t("menu"), "aria-expanded": "false", "aria-controls": "side", onclick: () => {
      menu.setAttribute("aria-expanded", String(side.classList.toggle("open")));
    } }, "⋯");
    fill(document.querySelector("header.top"), document.querySelector(".brand"), this.sum, this.links, this.state, menu, side, this.printed = el("span", { class: "onpaper note" }));
    this.here();
    this.count(this.counts);
    this.connection(this.since);
  }

  // Whose paper it is, and of when.
  stamp() {
    const [, view, machine = "", section = "00"] = location.hash.split("?")[0].split("/");
    const name = view === "m" || view === "c" ? decodeURIComponent(machine) + (section === "00" ? "" : ` ${decodeURIComponent(section)}`) : "";
    write(this.printed, [name, t("printed", { time: moment(Date.now()) })].filter(Boolean).join(" · "));
  }

  person() {
    const name = this.name = el("button", { class: "quiet who", title: t("name.why") }, who() || t("name.none"));
    if (this.about.role === "reader") return el("span", { class: "note who" }, t("role.reader"));
    name.addEventListener("click", () => ask({ title: t("name.title"), fields: [nameField()], done: t("keep"), act: async () => {} }));
    return name;
  }

  speak(wanted) {
    keep("nearfar.language", wanted);
    speak(wanted);
    this.draw();
    document.querySelector("header.top select").focus();
    this.anew();
  }

  // Which view is shown: marked in the header.
  here() {
    if (this.printed) this.stamp();
    for (const link of this.links?.children ?? []) {
      const [, view = ""] = location.hash.split(/[/?]/);
      const mine = link.hash.split("/")[1];
      if (mine === view) link.setAttribute("aria-current", "page");
      else if (mine === "" && (view === "m" || view === "c")) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  count(counts) {
    this.counts = counts;
    if (!counts || !this.sum) return;
    const { machines, alarms } = counts;
    fill(this.sum, alarms ? el("a", { href: "#/", class: "waiting" }, shape("alarm"), el("span", { class: "word" }, t("sum.waiting", { n: alarms })), el("span", { class: "n", "aria-hidden": "true" }, String(alarms))) : null,
      el("span", { class: "count" }, t("sum.machines", { n: machines })));
    document.title = alarms ? `▲ ${alarms} · nearfar` : "nearfar";
  }

  // Too many listen: it is looked at now and then.
  full() {
    this.since = null;
    this.state.className = "link looks";
    write(this.state.firstChild, t("live.full"));
    fill(document.getElementById("banner"), el("p", { class: "banner", role: "status" }, t("full.told")));
  }

  connection(since) {
    this.since = since;
    const place = document.getElementById("banner");
    const live = since === null;
    this.state.className = live ? "link live" : "link lost";
    write(this.state.firstChild, live ? (this.about.watches ? t("live.watch") : t("live.serve")) : t("live.lost"));
    const troubles = live ? this.troubles() : [];
    fill(place, !live && el("p", { class: "banner bad", role: "alert" }, t("lost.since", { time: seconds(since) })),
      troubles.map((line) => el("p", { class: "banner bad" }, line)));
  }

  // What the watch itself lacks; its own lines, as they are.
  troubles() {
    const { watch } = this.about;
    if (!watch) return [];
    const sources = Object.entries(watch.sources ?? {}).filter(([, line]) => line).map(([name, line]) => `${name}: ${line}`);
    const outputs = Object.values(watch.outputs ?? {}).filter((one) => one.trouble).map((one) => `${one.name}: ${one.trouble}`);
    const history = typeof watch.history === "string" && watch.history ? [watch.history] : [];
    return [...history, ...sources, ...outputs];
  }

  say(line, kind = "good", href = null) {
    const place = document.getElementById("toasts");
    const role = /^(bad|alarm)/.test(kind) ? "alert" : "status";
    const toast = el("div", { class: `toast ${kind}`, role }, el("p", {}, href ? el("a", { href }, line) : line),
      el("button", { class: "quiet", "aria-label": t("close"), onclick: () => toast.remove() }, "×"));
    place.append(toast);
    while (place.children.length > MOST) place.firstChild.remove();
    if (href) toast.querySelector("a").addEventListener("click", () => toast.remove());
    if (kind !== "alarm") setTimeout(() => toast.remove(), READ);
    return toast;
  }
}
