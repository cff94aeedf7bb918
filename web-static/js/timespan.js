// The time range of lists from the history: buttons for the usual ranges, or two dates.

import { byId, make, setText } from "./dom.js";
import { t } from "./language.js";

const DAY = 86400;
const RANGES = [["day", t("Day")], ["week", t("Week")], ["month", t("Month")], ["year", t("Year")], ["all", t("All")]];

/**
 * Controls the form `#NAME-form`, which has `#NAME-range` (a group for the buttons), `#NAME-from` and `#NAME-to` (dates)
 * and `#NAME-problem`. `changed()` is called when another range is chosen; `query` returns the range.
 */
export class TimeSpan {
  constructor(name, range, changed) {
    this.range = range;
    this.buttons = byId(`${name}-range`);
    this.start = byId(`${name}-from`);
    this.end = byId(`${name}-to`);
    this.problem = byId(`${name}-problem`);
    this.changed = changed;
    for (const [word, text] of RANGES) {
      const button = make("button", { type: "button", "data-range": word, "aria-pressed": String(word === range) }, text);
      button.addEventListener("click", () => this.choose(word));
      this.buttons.append(button);
    }
    byId(`${name}-form`).addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
  }

  choose(range) {
    this.range = range;
    setText(this.problem, "");
    for (const button of this.buttons.children) button.setAttribute("aria-pressed", String(button.dataset.range === range));
    this.changed();
  }

  submit() {
    const [start, end] = [this.start.value, this.end.value];
    const none = start === "" && end === "";
    const wrong = none ? t("Enter a start or an end date.") : start !== "" && end !== "" && start > end ? t("The start date is after the end date.") : "";
    setText(this.problem, wrong);
    if (wrong !== "") return;
    this.choose(null);
  }

  /** Return the chosen range as query parameters of /api/v1/history. */
  get query() {
    if (this.range !== null) return `range=${this.range}`;
    const start = Date.parse(`${this.start.value}T00:00`);
    const end = Date.parse(`${this.end.value}T00:00`);
    const from = Number.isNaN(start) ? 0 : Math.floor(start / 1000);
    const to = Math.floor(Number.isNaN(end) ? Date.now() / 1000 : end / 1000 + DAY);
    return `from=${from}&to=${to}`;
  }
}
