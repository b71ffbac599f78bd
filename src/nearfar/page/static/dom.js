// Elements without a library: el("p", { class: "note" }, "text", child, …). A text is never HTML.
const SVG = new Set(["svg", "path", "g", "line", "rect", "circle", "text", "polyline", "use", "defs", "pattern", "clipPath"]);

// Of `some.length && …` nothing is shown where there is none.
const there = (child) => child !== null && child !== undefined && child !== false && child !== 0;

export function el(tag, attributes = {}, ...children) {
  const made = attributes.svg || SVG.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "svg" || value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([k, v]) => made.style.setProperty(k, v));
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter(there));
  return made;
}

export function fill(place, ...children) {
  place.replaceChildren(...children.flat(Infinity).filter(there));
  return place;
}

// A style sheet of some views, fetched when one of them is shown.
export function dress(name) {
  const href = `/static/${name}`;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((done) => {
    document.head.append(el("link", { rel: "stylesheet", href, onload: done, onerror: done }));
  });
}

// A text that changes only if it must, so that screen readers and the eye are left alone.
export function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}
