"use strict";
// Several sounds of one moment, switched in place: one is heard, all stand at the same second.
for (const box of document.querySelectorAll("[data-player]")) {
  const sounds = [...box.querySelectorAll("audio")];
  if (!sounds.length) continue;
  const lines = [...document.querySelectorAll(`[data-follows="${CSS.escape(box.id)}"]`)].map((plot) => {
    const line = document.createElement("div");
    line.className = "playhead";
    line.hidden = true;
    // Inside what scrolls, so that it stays on its second when a phone scrolls the picture.
    const inside = plot.querySelector(".wide");
    inside.style.position = "relative";
    inside.append(line);
    plot.addEventListener("click", (event) => {
      const svg = event.target.closest("svg");
      if (!svg) return;
      const area = svg.getBoundingClientRect();
      const share = (event.clientX - area.left) / area.width;
      const [left, right] = [Number(plot.dataset.left), Number(plot.dataset.right)];
      seek(((share - left) / (right - left)) * Number(plot.dataset.seconds));
    });
    return { plot, line };
  });
  let chosen = 0;
  let frame = 0;

  const controls = document.createElement("div");
  controls.className = "controls";
  const play = document.createElement("button");
  play.type = "button";
  play.className = "play";
  play.textContent = "Play";
  controls.append(play);
  const choices = sounds.map((sound, n) => {
    const choice = document.createElement("button");
    choice.type = "button";
    choice.textContent = sound.dataset.label;
    choice.style.setProperty("--tone", `var(--${sound.dataset.name})`);
    choice.addEventListener("click", () => choose(n));
    controls.append(choice);
    return choice;
  });
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = 0;
  slider.step = 0.01;
  slider.value = 0;
  slider.setAttribute("aria-label", "Time in seconds");
  const clock = document.createElement("output");
  const keys = document.createElement("p");
  keys.className = "note keys";
  keys.append("Keys: ", key("space"), " plays and stops, ", key("1"), `–`, key(String(sounds.length)), " switch, ", key("←"), " ", key("→"), " one second.");
  controls.append(slider, clock, keys);
  box.querySelector(".tracks").hidden = true;
  box.querySelector(".tracks").style.display = "none";
  box.append(controls);

  function key(name) {
    const made = document.createElement("kbd");
    made.textContent = name;
    return made;
  }
  function longest() {
    return Math.max(...sounds.map((sound) => sound.duration || 0));
  }
  function seek(seconds) {
    const bounded = Math.min(Math.max(seconds, 0), Math.max(longest() - 0.01, 0));
    for (const sound of sounds) sound.currentTime = Math.min(bounded, sound.duration || bounded);
    show();
  }
  function choose(n) {
    const [old, next] = [sounds[chosen], sounds[n]];
    const playing = !old.paused;
    old.pause();
    if (next !== old) next.currentTime = Math.min(old.currentTime, next.duration || old.currentTime);
    chosen = n;
    if (playing) next.play().catch(stopped);
    show();
  }
  function toggle() {
    const sound = sounds[chosen];
    if (!sound.paused) return sound.pause();
    for (const other of document.querySelectorAll("audio")) if (other !== sound) other.pause();
    if (sound.ended) seek(0);
    sound.play().catch(stopped);
  }
  function stopped() {
    show();
  }
  function show() {
    const sound = sounds[chosen];
    const now = sound.currentTime;
    play.textContent = sound.paused ? "Play" : "Pause";
    choices.forEach((choice, n) => choice.setAttribute("aria-pressed", String(n === chosen)));
    slider.max = longest() || 1;
    slider.value = now;
    clock.textContent = `${now.toFixed(1)} of ${longest().toFixed(1)} s`;
    for (const { plot, line } of lines) {
      const [left, right] = [Number(plot.dataset.left), Number(plot.dataset.right)];
      const share = left + (right - left) * (now / Number(plot.dataset.seconds));
      const svg = plot.querySelector("svg");
      line.hidden = now === 0 && sound.paused;
      line.style.left = `${share * svg.getBoundingClientRect().width}px`;
    }
    cancelAnimationFrame(frame);
    if (!sound.paused) frame = requestAnimationFrame(show);
  }
  play.addEventListener("click", toggle);
  slider.addEventListener("input", () => seek(Number(slider.value)));
  for (const sound of sounds)
    for (const event of ["play", "pause", "ended", "loadedmetadata", "seeked"]) sound.addEventListener(event, show);
  box.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const digit = Number(event.key);
    if (event.key === " " && event.target.tagName !== "BUTTON") toggle();
    else if (digit >= 1 && digit <= sounds.length) choose(digit - 1);
    else if (event.key === "ArrowLeft") seek(sounds[chosen].currentTime - 1);
    else if (event.key === "ArrowRight") seek(sounds[chosen].currentTime + 1);
    else return;
    event.preventDefault();
  });
  window.addEventListener("resize", show);
  choose(0);
}
// What is folded away on a screen is read on paper.
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
