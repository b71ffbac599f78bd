// A question in a window of its own: Esc closes it, and the focus goes back to where it was.
import { ApiError } from "./api.js";
import { el } from "./dom.js";
import { keepWho, who } from "./session.js";
import { t } from "./words.js";

let made = 0;

// A label above its control.
export function field(label, control, hint) {
  const id = `field-${++made}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", { class: "field" }, el("label", { for: id }, label), control,
    hint && el("p", { class: "note", id: `${id}-hint` }, hint));
}

export function nameField() {
  const input = el("input", { name: "who", maxlength: "80", autocomplete: "name", value: who() });
  return field(t("name.label"), input, t("name.why"));
}

// Where the focus was; where that is gone, the same alarm, else the next one, else the view.
function refocus(from, number) {
  const heading = document.querySelector("main h1");
  if (heading) heading.tabIndex = -1;
  const to = from?.isConnected ? from : document.querySelector(`.alarms li[data-id="${number}"] button`);
  (to ?? document.querySelector(".alarms button") ?? heading)?.focus();
}

// ask({ title, lead, fields, done, act }): act(values) is called with what was typed; true when it was done.
export function ask({ title, lead, fields, done, act }) {
  const from = document.activeElement;
  const number = from?.closest?.("[data-id]")?.dataset.id;
  const fault = el("p", { class: "fault", role: "alert" });
  const button = el("button", { class: "primary" }, done);
  const heading = el("h2", { id: `dialog-${++made}` }, title);
  const form = el("form", { method: "dialog" }, heading, lead && el("p", { class: "lead" }, lead), fields, fault,
    el("div", { class: "row end" },
      el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("cancel")), button));
  const dialog = el("dialog", { "aria-labelledby": heading.id }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((answer) => {
    let acted = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form));
      if ("who" in values) keepWho(values.who);
      button.disabled = true;
      fault.textContent = "";
      try {
        await act(values);
        acted = true;
        dialog.close();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        fault.textContent = error.status ? error.message : t("lost.now");
      } finally {
        button.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      refocus(from, number);
      answer(acted);
    });
  });
}
