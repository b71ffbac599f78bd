// Several sounds of one moment, switched in place. All run in lockstep through Web Audio and one of
// them is let through: media elements drift apart, and leave a gap where one takes over.
import { el } from "./dom.js";
import { language, t } from "./words.js";

const RATE = 16000; // of all sounds that the server gives, Hz
const FADE = 0.015; // s, within which one sound takes over from another: shorter clicks
const LEAD = 0.03; // s until then: a busy computer tells one gain of it and, some ms later, the next
const GLYPHS = {
  play: "M6 4l14 8-14 8z",
  pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  loop: "M4 11a6 6 0 0 1 6-6h7V2l5 4.5L17 11V8h-7a3 3 0 0 0-3 3zM20 13a6 6 0 0 1-6 6H7v3l-5-4.5L7 13v3h7a3 3 0 0 0 3-3z",
};
let heard = null; // the deck that plays: one sound at a time on the page
let context = null; // one for the page; made when somebody first plays, as browsers want it

function audible() {
  if (context) return context;
  if (navigator.audioSession) navigator.audioSession.type = "playback"; // or iPhones obey their mute switch
  try {
    context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  } catch {
    context = new AudioContext(); // it resamples by itself
  }
  return context;
}

// What plays, without how it looks. `changed` is called whenever something else is to be shown.
export class Deck {
  constructor(sounds, changed) {
    this.tracks = sounds.map((sound) => ({ ...sound, state: "loading", why: "", buffer: null }));
    this.changed = changed;
    this.seconds = Math.max(...sounds.map((sound) => sound.seconds || 0), 0.01);
    this.chosen = 0;
    this.loops = false;
    this.run = null; // what sounds now: its gain, its sources, and when its second 0 was
    this.rests = 0; // the second at which it stands when nothing plays
  }

  get playing() {
    return this.run !== null;
  }

  get now() {
    if (!this.run) return this.rests;
    const since = Math.max(context.currentTime - this.run.zero, this.run.from);
    return this.loops ? since % this.seconds : Math.min(since, this.seconds);
  }

  load() {
    return Promise.all(this.tracks.map((track) => this.#fetch(track)));
  }

  async #fetch(track) {
    try {
      const reply = await fetch(track.url, { credentials: "same-origin", headers: { "X-Nearfar": "1" } });
      if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).error ?? `HTTP ${reply.status}`);
      track.buffer = await this.#decoded(await reply.arrayBuffer());
      track.state = "ready";
      if (this.run) this.#join(track, this.run, this.now);
    } catch (error) {
      track.state = "failed";
      track.why = error.name === "EncodingError" || !error.message ? t("clip.player.undecoded") : error.message;
      const other = this.tracks.findIndex((one) => one.state !== "failed");
      if (this.tracks[this.chosen] === track && other >= 0) this.choose(other);
    }
    this.changed();
  }

  // All are made as long as the longest, so that they come round together.
  async #decoded(bytes) {
    const made = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
    this.seconds = Math.max(this.seconds, made.duration);
    return made;
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  play() {
    if (this.tracks[this.chosen].state !== "ready") return;
    if (heard && heard !== this) heard.pause();
    for (const other of document.querySelectorAll("audio, video")) other.pause();
    heard = this;
    audible().resume();
    if (this.rests >= this.seconds - 0.02) this.rests = 0;
    this.#start(this.rests);
    this.changed();
  }

  pause() {
    this.rests = this.now;
    this.#stop();
    this.changed();
  }

  seek(seconds) {
    const there = Math.min(Math.max(seconds, 0), this.seconds);
    if (this.playing) {
      this.#stop();
      this.#start(Math.min(there, this.seconds - 0.02));
    } else this.rests = there;
    this.changed();
  }

  choose(number) {
    if (!this.tracks[number] || this.tracks[number].state === "failed") return;
    this.chosen = number;
    const at = this.run && context.currentTime + LEAD;
    if (this.run) for (const [track, gain] of this.run.gains) ramp(gain, track === this.tracks[number] ? 1 : 0, at);
    this.changed();
  }

  loop(on) {
    const [playing, now] = [this.playing, this.now];
    if (playing) this.#stop();
    this.loops = on;
    if (playing) this.#start(now);
    this.changed();
  }

  #start(from) {
    const out = context.createGain();
    out.gain.value = 0;
    out.connect(context.destination);
    const begins = context.currentTime + 0.01;
    this.run = { out, begins, from, zero: begins - from, gains: new Map(), sources: [] };
    for (const track of this.tracks) if (track.state === "ready") this.#join(track, this.run, from, begins);
    ramp(out, 1);
    this.#watchEnd(this.run);
  }

  #join(track, run, from, at = context.currentTime) {
    const gain = context.createGain();
    gain.gain.value = track === this.tracks[this.chosen] ? 1 : 0;
    gain.connect(run.out);
    const source = context.createBufferSource();
    source.buffer = this.#padded(track);
    source.loop = this.loops;
    source.connect(gain);
    source.start(at, from);
    run.gains.set(track, gain);
    run.sources.push(source);
  }

  #padded(track) {
    const frames = Math.ceil(this.seconds * RATE);
    if (track.buffer.length < frames) {
      const longer = context.createBuffer(1, frames, RATE);
      longer.copyToChannel(track.buffer.getChannelData(0), 0);
      track.buffer = longer;
    }
    return track.buffer;
  }

  #watchEnd(run) {
    const last = run.sources[0];
    if (!last) return;
    last.onended = () => {
      if (this.run !== run || this.loops) return;
      this.#stop();
      this.rests = this.seconds;
      this.changed();
    };
  }

  #stop() {
    const run = this.run;
    this.run = null;
    if (!run) return;
    ramp(run.out, 0);
    for (const source of run.sources) source.stop(context.currentTime + 2 * FADE);
  }
}

function ramp({ gain }, to, at = 0) {
  const [now, value] = [context.currentTime, gain.value];
  gain.cancelScheduledValues(now);
  for (const when of [now, Math.max(now, at)]) gain.setValueAtTime(value, when);
  gain.linearRampToValueAtTime(to, Math.max(now, at) + FADE);
}

function glyph(name) {
  return el("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "clip-glyph" }, el("path", { d: GLYPHS[name] }));
}

const tenths = (seconds) =>
  new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(seconds);

const called = (name, label) => {
  const known = ["near", "far", "heard", "normal"].includes(name);
  return known ? t(`clip.sound.${name}`) : label;
};

// A player and its deck. `follow(fn)` has fn called with (second, seconds, playing) while it runs.
export function player(sounds) {
  const followers = [];
  let frame = 0;
  const deck = new Deck(sounds, () => show());
  const play = el("button", { type: "button", class: "clip-play", onclick: () => deck.toggle(), "aria-keyshortcuts": "Space" });
  const choices = deck.tracks.map((track, n) =>
    el("button", {
      type: "button", class: "clip-choice", onclick: () => deck.choose(n), "aria-keyshortcuts": String(n + 1),
      style: { "--tone": `var(--${track.name}, var(--accent))` },
    }, el("span", {}, called(track.name, track.label)), el("kbd", { "aria-hidden": "true" }, String(n + 1))));
  const slider = el("input", {
    type: "range", min: 0, step: 0.01, value: 0, "aria-label": t("clip.player.second"), oninput: () => deck.seek(Number(slider.value)),
  });
  const clock = el("span", { class: "clip-clock", "aria-hidden": "true" });
  const loop = el("button", { type: "button", class: "clip-loop", onclick: () => deck.loop(!deck.loops), "aria-keyshortcuts": "L" },
    glyph("loop"), el("span", {}, t("clip.player.loop")));
  const told = el("p", { class: "clip-told note", role: "status" });
  const box = el("section", { class: "clip-player noprint", "aria-label": t("clip.player") },
    el("div", { class: "clip-run" }, play, slider, clock, loop),
    el("div", { class: "clip-choices", role: "group", "aria-label": t("clip.player.which") }, choices),
    told);

  function show() {
    const now = deck.now;
    const { state } = deck.tracks[deck.chosen];
    relabel(play, deck.playing ? "pause" : "play");
    play.disabled = state !== "ready";
    play.setAttribute("aria-busy", String(state === "loading"));
    slider.max = deck.seconds;
    slider.value = now;
    slider.setAttribute("aria-valuetext", t("clip.player.at", { now: tenths(now), all: tenths(deck.seconds) }));
    slider.style.setProperty("--share", `${(100 * now) / deck.seconds}%`);
    clock.textContent = `${tenths(now)} / ${tenths(deck.seconds)} s`;
    loop.setAttribute("aria-pressed", String(deck.loops));
    choices.forEach((choice, n) => mark(choice, deck.tracks[n], n === deck.chosen));
    say(trouble(deck.tracks));
    for (const follower of followers) follower(now, deck.seconds, deck.playing);
    cancelAnimationFrame(frame);
    if (!deck.playing) return;
    if (box.isConnected) frame = requestAnimationFrame(show);
    else deck.pause(); // somebody went elsewhere
  }
  function say(line) {
    if (told.textContent !== line) told.textContent = line; // or it is read aloud at each frame
    told.hidden = !line;
  }

  // True where the key was the player's.
  function key(event) {
    const digit = Number(event.key);
    if (event.key === " ") deck.toggle();
    else if (digit >= 1 && digit <= deck.tracks.length) deck.choose(digit - 1);
    else if (event.key === "ArrowLeft") deck.seek(deck.now - 1);
    else if (event.key === "ArrowRight") deck.seek(deck.now + 1);
    else if (event.key === "l" || event.key === "L") deck.loop(!deck.loops);
    else return false;
    return true;
  }
  show();
  deck.load();
  return { box, deck, key, follow: (follower) => { followers.push(follower); show(); } };
}

function relabel(button, name) {
  if (button.dataset.shows === name) return;
  button.dataset.shows = name;
  button.replaceChildren(glyph(name), el("span", {}, t(`clip.player.${name}`)));
}

function mark(choice, track, chosen) {
  choice.setAttribute("aria-pressed", String(chosen));
  choice.disabled = track.state === "failed";
  choice.title = track.state === "failed" ? track.why : track.label;
  choice.classList.toggle("loading", track.state === "loading");
}

function trouble(tracks) {
  const failed = tracks.filter((track) => track.state === "failed");
  return failed.map((track) => `${called(track.name, track.label)}: ${track.why}`).join(" · ");
}
