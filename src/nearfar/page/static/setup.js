// The first run: from a folder of normal recordings to a detector that listens.
import { ApiError, del, get, post, put } from "./api.js";
import { dressed, figures, lineOf, theirs } from "./answers.js";
import { field, nameField } from "./dialog.js";
import { el, fill } from "./dom.js";
import { moments, Upload } from "./upload.js";
import { language, t } from "./words.js";

const FEWEST = 99; // clips, so that 1 in 100 can be told
const RATES = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1];
const FILE = /\.(wav|wave|w64|rf64|bwf|aif|aiff|au|flac)$/i; // what a line is about
const POLL = 1000; // ms between questions how far the fit is
const FLAG = /(^|\s|\()--?[a-z]/; // of a command
const LINES = { listening: () => t("setup.line.listening"), fitting: () => t("setup.line.fitting") }; // what the server says of its work
const STEPS = ["record", "choose", "found", "fit"];

export async function show(place, asked, page) {
  await dressed();
  const view = new Setup(page);
  view.root.append(el("p", { role: "status" }, t("waits")));
  fill(place, view.root);
  try {
    view.take(await get("/setup"));
  } catch (error) {
    fill(view.root, heading(), el("div", { class: "banner bad", role: "alert" }, theirs("p", {}, lineOf(error)),
      el("p", {}, el("button", { type: "button", onclick: () => show(place, asked, page) }, t("again")), " ", el("a", { href: "#/" }, t("setup.home")))));
  }
}

const heading = () => el("header", {}, el("h1", { tabindex: "-1" }, t("setup.title")), el("p", { class: "lead" }, t("setup.lead")));

class Setup {
  constructor(page) {
    this.page = page;
    this.reader = page.role !== "operator";
    this.root = el("article", { class: "setup" });
    this.upload = null;
    this.fault = null; // of the last thing that was tried: { step, line }
    this.told = null; // what became of the files that were sent last
    this.typed = { machine: null, rate: 0.01, exclude: true, far: false };
    this.listens = false; // is what was fitted already at work?
    this.timer = 0;
    page.on?.("setup", (said) => this.root.isConnected && this.take(said));
  }

  // What the server said of it; all is drawn by it, apart from a form that somebody fills in.
  take(said) {
    const before = this.state;
    this.state = { ...this.state, ...(said.setup ?? said) };
    clearTimeout(this.timer);
    const { stage } = this.state;
    if (this.busy) this.timer = setTimeout(() => this.ask(), POLL);
    if (stage === "fitted" && !this.listens) this.wait();
    if (before?.stage === stage && this.busy && this.bar?.isConnected) return this.progress();
    // Whoever types is not disturbed by news of the same.
    const { done, total, line, ...rest } = this.state;
    const drawn = JSON.stringify([rest, this.fault, this.upload?.waits]);
    if (drawn === this.drawn && this.root.contains(document.activeElement)) return null;
    this.drawn = drawn;
    this.draw();
    if (before && before.stage !== stage && (stage === "fitting" || stage === "fitted" || stage === "failed")) this.root.querySelector("[aria-current=step] h2")?.focus();
    return null;
  }

  get busy() {
    return ["checking", "fitting"].includes(this.state.stage) || this.state.sending || (this.state.recordings > 0 && this.state.stage === "recordings" && this.state.checked === false);
  }

  // What was fitted is at work when the server says so; the page then knows it too.
  async wait() {
    try {
      const about = await get("/about");
      this.listens = about.ready;
      if (about.ready) this.page.tell("about", about);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error; // it may only be starting
    }
    if (this.listens) this.draw();
    else if (this.root.isConnected) setTimeout(() => this.wait(), POLL);
  }

  async ask() {
    if (!this.root.isConnected) return;
    try {
      this.take(await get("/setup"));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.timer = setTimeout(() => this.ask(), 3 * POLL); // it may only be restarting
    }
  }

  get at() {
    const { stage } = this.state;
    if (stage === "fitting" || stage === "fitted" || (stage === "failed" && !this.back)) return "fit";
    return this.state.recordings > 0 && !this.upload?.waits ? "found" : "choose";
  }

  draw() {
    const at = STEPS.indexOf(this.at);
    const items = STEPS.map((name, n) => {
      const now = n === at || (name === "choose" && this.at === "found");
      const early = name === "record" && !this.state.recordings; // nobody knows whether it was done
      const word = early ? "now" : n < at || this.state.stage === "fitted" ? "done" : now ? "now" : "later";
      return el("li", { class: `setup-step ${word}`, "aria-current": n === at ? "step" : null },
        el("h2", { tabindex: "-1" }, el("span", { class: "setup-mark", "aria-hidden": "true" }, word === "done" ? "✓" : String(n + 1)),
          t(`setup.${name}`), el("span", { class: "setup-hidden" }, ` – ${t(`setup.step.${word}`)}`)),
        el("div", { class: "setup-body" }, [this[name](word), this.failure(name)].flat(Infinity)));
    });
    fill(this.root, heading(), this.reader && el("p", { class: "banner bad" }, t("clip.reader")), el("ol", { class: "setup-steps" }, items));
  }

  failure(step) {
    if (this.fault?.step !== step) return null;
    return el("div", { class: "banner bad", role: "alert" }, theirs("p", {}, this.fault.line), this.fault.way && el("p", {}, this.fault.way));
  }

  fail(step, error, way = t("setup.way")) {
    if (!(error instanceof ApiError)) throw error;
    this.fault = { step, line: lineOf(error), way };
    this.draw();
  }

  record() {
    return el("ul", { class: "setup-needs" }, ["channels", "count", "life", "normal"].map((key) => el("li", {}, t(`setup.need.${key}`, { n: FEWEST }))));
  }

  choose(word) {
    if (this.at === "fit") return null;
    if (this.upload?.waits) return this.sending();
    const take = (input) => this.send([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    const input = (more) => el("input", { type: "file", multiple: true, class: "setup-file", tabindex: "-1", "aria-hidden": "true", onchange: (event) => take(event.target), ...more });
    const [folder, files] = [input({ webkitdirectory: true }), input({ accept: ".wav,.wave,.w64,.rf64,.bwf,.aif,.aiff,.au,.flac" })];
    const drop = el("div", {
      class: "setup-drop", ondragover: (event) => { event.preventDefault(); drop.classList.add("over"); },
      ondragleave: () => drop.classList.remove("over"), ondrop: (event) => this.dropped(event, drop),
    }, el("p", { class: "for-mouse" }, t("setup.drop")),
      el("div", { class: "row" }, el("button", { type: "button", class: word === "now" && this.at === "choose" ? "primary" : "", disabled: this.reader, onclick: () => folder.click() }, t("setup.folder")),
        el("button", { type: "button", disabled: this.reader, onclick: () => files.click() }, t("setup.files"))), folder, files);
    return [drop, this.offered(), this.state.recordings > 0 && this.sent()];
  }

  offered() {
    const { offered = [] } = this.state;
    if (!offered.length) return null;
    return el("div", { class: "setup-offered" }, el("p", {}, t("setup.offered")), el("div", { class: "row" }, offered.map((name) =>
      el("button", { type: "button", disabled: this.reader, "aria-pressed": String(this.state.chosen?.includes(name) ?? false), onclick: () => this.use(name) }, name))));
  }

  // Folders that were named at the start: the server reads them where they lie.
  async use(name) {
    this.fault = null;
    const chosen = this.state.chosen ?? [];
    const names = chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name];
    try {
      this.take(await put("/setup/offered", { names, who: this.page.who() }));
    } catch (error) {
      this.fail("choose", error);
    }
  }

  sent() {
    const { told } = this;
    return [el("p", { class: "note" }, t("setup.sent", { n: figures(this.state.recordings, 9) }), told?.left_out > 0 && ` ${t("setup.leftout", { n: figures(told.left_out, 9) })}`, " ",
      el("button", { type: "button", class: "quiet", disabled: this.reader, onclick: () => this.forget() }, t("setup.forget"))),
      told && table(t("setup.refused"), told.refused)];
  }

  async forget() {
    try {
      [this.fault, this.told] = [null, null];
      if (this.state.chosen?.length) await put("/setup/offered", { names: [], who: this.page.who() });
      this.take(await del(`/setup/recordings?${new URLSearchParams({ who: this.page.who() })}`));
    } catch (error) {
      this.fail("choose", error);
    }
  }

  async dropped(event, drop) {
    event.preventDefault();
    drop.classList.remove("over");
    if (this.reader) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    await this.send((await Promise.all(entries.map(within))).flat());
  }

  async send(files) {
    this.fault = null;
    this.upload = new Upload(files, this.page.about.upload_limit, this.page.who(), () => this.count());
    if (!this.upload.files.length) {
      this.upload = null;
      this.fault = { step: "choose", line: t("setup.nothing"), way: "" };
      return this.draw();
    }
    return this.goOn();
  }

  async goOn() {
    this.fault = null;
    const running = this.upload.run();
    this.draw();
    try {
      this.told = await running;
      this.take(await get("/setup"));
    } catch (error) {
      this.fail("choose", error, t("setup.resume.way"));
    }
    this.draw();
  }

  sending() {
    const { upload } = this;
    this.sentBar = el("progress", { max: 1, value: 0, "aria-label": t("setup.sending") });
    this.counted = el("p", { class: "note setup-count" });
    this.count();
    const way = upload.stopped
      ? [el("button", { type: "button", class: "primary", onclick: () => this.goOn() }, t("setup.resume")),
          el("button", { type: "button", onclick: () => { this.upload = null; this.ask().then(() => this.draw()); } }, t("setup.enough"))]
      : [el("button", { type: "button", onclick: () => upload.stop() }, t("setup.pause"))];
    return el("div", { class: "setup-sending" }, this.sentBar, this.counted, el("div", { class: "row" }, way));
  }

  count() {
    if (!this.sentBar) return;
    const { sent, bytes, done, files, left } = this.upload;
    this.sentBar.value = bytes ? sent / bytes : 1;
    this.counted.textContent = t("setup.count", { done: figures(done, 9), all: figures(files.length, 9), sent: figures(sent / 1e6, 3), bytes: figures(bytes / 1e6, 3) })
      + (left ? ` · ${t("setup.left", { time: moments(left) })}` : "");
  }

  found(word) {
    const { recordings = 0, seconds, problems = [], suspects = [], stage, checked } = this.state;
    if (word === "later") return el("p", { class: "note" }, t("setup.found.later"));
    const looks = stage === "checking" || (stage === "recordings" && checked === false);
    const fact = (value, key) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, value));
    const facts = el("dl", { class: "facts" }, fact(figures(recordings, 9), "setup.recordings"), seconds > 0 && fact(figures(seconds / 60, 3), "setup.minutes"));
    const few = recordings < FEWEST && el("p", { class: "banner" }, t("setup.few", { n: figures(recordings, 9), all: FEWEST }));
    const others = problems.filter((line) => !suspects.some((one) => line.includes(one.says)));
    const ofFile = (line) => FILE.test(line.replace(/^left out: /, "").split(": ")[0]);
    return [facts, few, looks && this.running("setup.checking"), table(t("setup.problems.machine"), others.filter((line) => !ofFile(line)).map((line) => this.problem(line)), "", t("setup.of")),
      table(t("setup.problems"), others.filter(ofFile).map((line) => this.problem(line))),
      table(t("setup.suspects"), byClip(suspects).map(([clip, why]) => [clip, why.map((line) => this.ways(line))]), t("setup.suspects.told")),
      this.at === "found" && !looks && this.form()];
  }

  // [what it is of, why] of a line of the server.
  problem(line) {
    const [, out, of_, why] = /^(left out: )?([^:]*): (.*)$/s.exec(line) ?? [null, "", "", line];
    return [[of_, out && el("small", {}, ` ${t("setup.out")}`)], this.ways(why)];
  }

  // A line whose ways out are said as the command line has them: those that are on this page lead to them.
  ways(line) {
    const parts = line.split(/(; |, or )/);
    const far = parts.some((part) => /--(channel-order|near|far)\b/.test(part));
    let said = "";
    for (let n = 0; n < parts.length; n += 2) if (!FLAG.test(parts[n])) said += (said && parts[n - 1]) + parts[n];
    const to = (name, word) => el("button", { type: "button", class: "link-like", onclick: () => this.root.querySelector(`[name=${name}]`)?.focus() }, word);
    return el("p", {}, theirs("span", {}, said || line), line.includes("--exclude-suspects") && [" ", to("exclude", t("setup.exclude"))], far && [" ", to("far", t("setup.far"))]);
  }

  // How far what runs is; its own words beside it.
  running(words) {
    this.bar = el("progress", { max: 1, "aria-label": t(words) });
    this.line = theirs("p", { class: "note setup-count" });
    this.progress();
    return [el("p", { role: "status" }, t(words)), this.bar, this.line];
  }

  form() {
    const { typed, state } = this;
    const machine = el("input", { name: "machine", required: true, maxlength: 80, value: typed.machine ?? state.machine ?? "", autocomplete: "off", spellcheck: "false", oninput: () => { typed.machine = machine.value; } });
    const rate = el("select", { name: "rate", onchange: () => { typed.rate = Number(rate.value); words(); } }, RATES.map((one) =>
      el("option", { value: one, selected: one === typed.rate }, new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(one))));
    const told = el("p", { class: "note", "aria-live": "polite" });
    const words = () => {
      const length = state.seconds > 0 ? state.seconds / (state.clips || state.recordings) : 10;
      fill(told, t("setup.rate.means", { n: figures(1000 * typed.rate), day: figures(24 * typed.rate, 2), s: figures(length, 2), most: figures((86400 / length) * typed.rate, 2) }));
    };
    words();
    const exclude = el("input", { type: "checkbox", name: "exclude", checked: typed.exclude, onchange: () => { typed.exclude = exclude.checked; } });
    const far = el("input", { type: "checkbox", name: "far", checked: typed.far, onchange: () => { typed.far = far.checked; this.look(); } });
    const begin = el("button", { class: "primary", disabled: this.reader || !state.recordings || (state.checked && !state.can_fit) }, t("setup.begin"));
    return el("form", { class: "setup-form", onsubmit: (event) => { event.preventDefault(); this.begin(begin, new FormData(event.target)); } },
      field(t("setup.machine"), machine, t("setup.machine.told")), field(t("setup.rate"), rate), told,
      el("div", {}, state.suspects?.length > 0 && el("label", { class: "setup-check" }, exclude, t("setup.exclude")),
        el("label", { class: "setup-check" }, far, t("setup.far"))), nameField(),
      state.checked && !state.can_fit && el("p", { class: "banner bad" }, t("setup.cannot")), el("div", { class: "row" }, begin));
  }

  get wish() {
    const { machine, rate, exclude, far } = this.typed;
    return { machine: (machine ?? this.state.machine ?? "").trim(), false_alarm_rate: rate, exclude_suspects: exclude && this.state.suspects?.length > 0, far_first: far };
  }

  // What is near and what is far was told otherwise: all is looked at anew.
  async look() {
    this.fault = null;
    try {
      this.take(await post("/setup/check", this.wish));
    } catch (error) {
      this.fail("found", error);
    }
  }

  async begin(button, form) {
    button.disabled = true;
    [this.fault, this.back] = [null, false];
    const who = form.get("who").trim();
    try {
      this.page.keepWho(who);
      this.take(await post("/setup/fit", { ...this.wish, who }));
    } catch (error) {
      this.fail("found", error);
    }
  }

  fit(word) {
    const { stage, line = "" } = this.state;
    if (word === "later") return el("p", { class: "note" }, t("setup.fit.later"));
    if (stage === "failed") {
      return [el("div", { class: "banner bad", role: "alert" }, theirs("p", {}, line), el("p", {}, t("setup.failed.way"))),
        el("div", { class: "row" }, el("button", { type: "button", class: "primary", onclick: () => { this.back = true; this.draw(); } }, t("setup.back")))];
    }
    if (stage !== "fitted") return [this.running("setup.fitting"), el("p", { class: "note" }, t("setup.fitting.told"))];
    const words = !this.listens ? "setup.starts" : this.page.about.watches ? "setup.listens" : "setup.answers";
    return [el("p", { class: "setup-listens", role: "status" }, el("span", { "aria-hidden": "true" }, this.listens ? "● " : "○ "), t(words)),
      line && theirs("p", { class: "note" }, line), this.listens && el("div", { class: "row" }, el("a", { class: "button primary", href: "#/" }, t("setup.home")))];
  }

  progress() {
    const { done, total, line = "" } = this.state;
    if (total) this.bar.value = done / total;
    else this.bar.removeAttribute("value");
    const word = LINES[line];
    fill(this.line, total > 1 && `${figures(done, 9)} / ${figures(total, 9)} · `, word ? el("span", { lang: language }, word()) : line);
  }
}

// [clip, [why, …]] of what stands out, a clip once.
function byClip(suspects) {
  const found = new Map();
  for (const { clip, value, says } of suspects) found.set(clip, [...(found.get(clip) ?? []), [value, says].filter(Boolean).join(" · ")]);
  return [...found];
}

// Lines are [of what, why], or the server's own with a colon between.
function table(title, lines, told = "", of = t("setup.file")) {
  if (!lines?.length) return null;
  const row = (line) => {
    const [of_, why] = typeof line === "string" ? line.split(/: (.*)/s) : line;
    return el("tr", {}, el("td", { class: "name" }, of_), typeof line === "string" ? theirs("td", {}, why ?? "") : el("td", {}, why));
  };
  return el("details", { open: lines.length <= 8 }, el("summary", {}, `${title} (${figures(lines.length, 9)})`), told && el("p", { class: "note" }, told),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, of), el("th", {}, t("setup.why")))), el("tbody", {}, lines.map(row)))));
}

// All files of what was dropped, with the folders that they lie in.
async function within(entry) {
  if (entry.isFile) return [{ file: await new Promise((done, not) => entry.file(done, not)), name: entry.fullPath.replace(/^\//, "") }];
  const reader = entry.createReader();
  const found = [];
  for (let some; (some = await new Promise((done, not) => reader.readEntries(done, not))).length;) found.push(...some); // 100 at a time
  return (await Promise.all(found.map(within))).flat();
}
