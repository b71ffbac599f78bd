// Who looks: the token that lets them in, and the name that they typed.
import { ApiError, del, post } from "./api.js";
import { el, fill } from "./dom.js";
import { t } from "./words.js";

const NAME = "nearfar.who";
const LONGEST = 80; // characters of a name; what the server keeps

// localStorage is refused in some private windows: the page then forgets, and works.
export function kept(key) {
  try { return localStorage.getItem(key) ?? ""; } catch { return ""; }
}

export function keep(key, value) {
  try { localStorage.setItem(key, value); } catch { /* forgotten with the window */ }
}

let name = kept(NAME);
export const who = () => name;

export function keepWho(said) {
  name = said.trim().slice(0, LONGEST);
  keep(NAME, name);
  dispatchEvent(new Event("named")); // the header has it
}

// Shows the sign-in and comes back when somebody is let in.
export function signIn(place) {
  return new Promise((done) => {
    const token = el("input", { type: "password", id: "token", name: "token", required: true, autocomplete: "current-password", spellcheck: "false" });
    const fault = el("p", { class: "fault", role: "alert", id: "token-fault" });
    const button = el("button", { class: "primary" }, t("sign.in"));
    const form = el("form", { class: "card signin" },
      el("h1", { tabindex: "-1" }, t("sign.title")),
      el("p", { class: "note" }, t("sign.why")),
      el("input", { name: "username", autocomplete: "username", value: "nearfar", hidden: true }), // for those who keep tokens
      el("label", { for: "token" }, t("sign.token")), token, fault, button);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      fault.textContent = "";
      try {
        await post("/session", { token: token.value });
        done();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        fault.textContent = error.status === 401 ? t("sign.wrong") : error.status === 429 ? t("sign.often", { n: error.wait }) : error.status ? error.message : t("lost.now");
        token.setAttribute("aria-invalid", "true");
        token.setAttribute("aria-describedby", "token-fault");
        token.select();
      } finally {
        button.disabled = false;
      }
    });
    fill(place, form);
    token.focus();
  });
}

export async function signOut() {
  await del("/session");
  location.replace("/");
}
