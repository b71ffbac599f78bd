// The page's words: one table, a row a word. {name} stands for a value.
export const LANGUAGES = { en: "English", de: "Deutsch", ja: "日本語" };

const WORDS = {
  // shell
  "machines": ["Machines", "Maschinen", "機械"],
  // machine
  // clip
  // setup
};

let column = 0;
export let language = "en";

export function speak(wanted) {
  language = wanted in LANGUAGES ? wanted : "en";
  column = Object.keys(LANGUAGES).indexOf(language);
  document.documentElement.lang = language;
}

export function t(key, values = {}) {
  const row = WORDS[key];
  if (!row) throw new Error(`no word ${key}`);
  return row[column].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? `{${name}}`);
}

export const keys = () => Object.keys(WORDS);
export const row = (key) => WORDS[key];
