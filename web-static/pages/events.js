// The events page: events from the history, latest first, updated when one happens.

import { historyProblem } from "../js/api.js";
import { byId, make, setText } from "../js/dom.js";
import { KINDS, eventColumns, eventRows, announceEvent } from "../js/events.js";
import { integer } from "../js/format.js";
import { t } from "../js/language.js";
import { showPages } from "../js/listing.js";
import { pollPath, startPage } from "../js/page.js";
import { Table, emptyNote } from "../js/table.js";
import { TimeSpan } from "../js/timespan.js";

const PAGE = matchMedia("(max-width: 40rem)").matches ? 15 : 50;
/** Polling interval in ms; the node writes events to its history within a minute. */
const PERIOD = 15000;
let page = 0;

const table = new Table("events", {
  caption: t("Events: time, event, subject and description"),
  few: PAGE,
  empty: emptyNote(),
  columns: eventColumns,
});
table.few = PAGE;

const kind = byId("events-kind");
for (const [word, [text]] of Object.entries(KINDS)) kind.append(make("option", { value: word }, text));

const span = new TimeSpan("events", "week", changed);
const query = () => span.query + (kind.value === "" ? "" : `&kind=${kind.value}`);
const again = pollPath(() => `api/v1/history/events?${query()}&offset=${page * PAGE}&limit=${PAGE}`, PERIOD, show);

function show(value, status) {
  const problem = historyProblem(value, status);
  byId("events-csv").hidden = problem !== null;
  table.show(problem === null ? eventRows(value.events) : [], make("span", {}, problem ?? (kind.value === "" ? t("No events in this period.") : t("No events of this kind in this period."))));
  setText(byId("events-count"), problem === null ? integer(value.total) : "");
  showPages(byId("events-pages"), page, problem === null ? Math.ceil(value.total / PAGE) : 1, (wanted) => {
    page = wanted;
    again();
  });
}

function changed() {
  page = 0;
  byId("events-csv").href = `../api/v1/history/events.csv?${query()}`;
  again();
}

kind.addEventListener("change", changed);

startPage({
  onEvent(event) {
    if (event.event !== "happened") return;
    announceEvent(byId("said"), event);
    again();
  },
});
byId("events-csv").href = `../api/v1/history/events.csv?${query()}`;
