// Requests to /api: each gives the answer, or throws an ApiError with the server's one line.
export class ApiError extends Error {
  constructor(status, line, faults = [], wait = 0) {
    super(line);
    this.wait = wait; // s that the server wants to be left alone
    this.status = status; // 0: nobody answered
    this.faults = faults;
  }
}

async function ask(method, path, body) {
  const asked = { method, headers: { "X-Nearfar": "1" }, credentials: "same-origin" };
  if (body instanceof FormData) asked.body = body;
  else if (body !== undefined) {
    asked.headers["Content-Type"] = "application/json";
    asked.body = JSON.stringify(body);
  }
  let reply;
  try {
    reply = await fetch(`/api${path}`, asked);
  } catch {
    throw new ApiError(0, "");
  }
  const said = reply.headers.get("Content-Type")?.startsWith("application/json") ? await reply.json() : {};
  if (!reply.ok) throw new ApiError(reply.status, said.error ?? reply.statusText, said.faults, Number(reply.headers.get("Retry-After")));
  return said;
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);
export const put = (path, body = {}) => ask("PUT", path, body);
export const del = (path) => ask("DELETE", path);

// A path of one machine: of({ machine: "pump 7", section: "00" }, "/timeline", { points: 800 }).
export function of(one, rest = "", asked = {}) {
  const query = new URLSearchParams({ section: one.section, ...asked });
  return `/machines/${encodeURIComponent(one.machine)}${rest}?${query}`;
}
