// The reader's language. The key of every text is its English wording; locales/LANGUAGE.json has the others. theme.js
// chooses the language and fetches its catalogue; this module waits for it, so whoever imports it may use texts at once.
// The key of a template has its expressions numbered: t`${a} of ${b}` is "{0} of {1}".

/** Every language by its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", ru: "Русский", zh: "中文" };
/** Translated by a machine, and not yet checked by a person who speaks it. */
export const DRAFTS = ["de", "es", "ru", "zh"];
/** Where the choice is kept: in localStorage, and what a link asked for (?lang=de) in sessionStorage. */
const KEY = "language";

const root = globalThis.document?.documentElement;
/** @type {any} */
const catalogue = (await /** @type {any} */ (globalThis).catalogue) ?? null;
/** @type {Map<string, any>} */
const messages = new Map(Object.entries(catalogue?.messages ?? {}));
export const language = catalogue === null ? "en" : root.lang;

const scriptOf = (tag) => new Intl.Locale(tag).maximize().script;
const isOurs = (tag) => tag.toLowerCase().split("-")[0] === language && scriptOf(tag) === scriptOf(language);
/** The locale of numbers and dates: the reader's own if it is one of the language, as "de-CH" is of "de". */
export const locale = language === "en" ? "en" : (navigator.languages.find(isOurs) ?? language);

/**
 * Return a function that makes a value when it is first called for: the formatters of Intl are dear on phones.
 * @template T
 * @param {() => T} make
 * @returns {() => T}
 */
export function lazily(make) {
  /** @type {T | undefined} */
  let made;
  return () => (made ??= make());
}

const rules = lazily(() => new Intl.PluralRules(locale));
const numbers = lazily(() => new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }));

const wordingOf = (key) => {
  const found = messages.get(key);
  return typeof found === "string" && found !== "" ? found : key;
};
const keyOf = (texts) => texts.reduce((key, text, i) => `${key}{${i - 1}}${text}`);
const filled = (text, values) => text.replace(/\{(\d+)\}/g, (whole, i) => (i < values.length ? String(values[i]) : whole));

/**
 * Return a text in the reader's language: t("Blocks found"), or t`${integer(found)} of ${integer(all)} paths`.
 * @param {string | TemplateStringsArray} texts
 * @param {any[]} values
 * @returns {string}
 */
export function t(texts, ...values) {
  return typeof texts === "string" ? wordingOf(texts) : filled(wordingOf(keyOf(texts)), values);
}

/** Return a sentence of the node in the reader's language, if it is one of the fixed ones in the catalogue. */
export const told = (text) => wordingOf(text);

/** Return the nodes and strings of a text with elements in it: phrase`Mines to ${link}.` */
export function phrase(texts, ...values) {
  const parts = wordingOf(keyOf(texts)).split(/\{(\d+)\}/);
  return parts.map((part, i) => (i % 2 === 1 ? values[Number(part)] : part)).filter((part) => part !== "");
}

/** Return a text that counts something: plural(n, "{0} share", "{0} shares"); further values are {1} and so on. */
export function plural(count, one, other, ...more) {
  const form = rules().select(count);
  const found = messages.get(other);
  const forms = typeof found === "object" ? found : { one, other };
  return filled(forms[form] ?? forms.other, [Number.isFinite(count) ? numbers().format(count) : "–", ...more]);
}

/** Remember another language, and show the page in it. */
export function chooseLanguage(chosen) {
  const url = new URL(location.href);
  url.searchParams.delete("lang");
  try {
    sessionStorage.removeItem(KEY);
    localStorage.setItem(KEY, chosen);
  } catch {
    url.searchParams.set("lang", chosen); // storage is forbidden: the choice applies to this page only
  }
  if (url.href === location.href) location.reload();
  else location.replace(url);
}

if (catalogue !== null) (await import("./translate.js")).translatePage(wordingOf);
else if (root !== undefined) root.lang = "en";
if (root !== undefined) delete root.dataset.translating;
