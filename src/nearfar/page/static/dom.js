// Elements without a library: el("p", { class: "note" }, "text", child, …). A text is never HTML.
export function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "g", "line", "rect", "circle", "text", "title", "polyline", "use"];
  const made = svg.includes(tag) && (attributes.svg ?? tag !== "title")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "svg" || value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([k, v]) => made.style.setProperty(k, v));
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function fill(place, ...children) {
  place.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return place;
}
