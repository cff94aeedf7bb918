// The API page: every endpoint with its parameters, fields and errors, from the OpenAPI document of this node.

import { fetchJson } from "../js/api.js";
import { byId, make, setText } from "../js/dom.js";
import { integer } from "../js/format.js";
import { phrase, t } from "../js/language.js";
import { startPage } from "../js/page.js";
import { fieldsOf, limitsOf, typeOf } from "../js/schema.js";

const VERSION_1 = /^.api.v1./;
const TOPICS = { dashd: t("Dash Core") };

/** @type {{path: string, topic: string, operation: any, words: string, node: ?HTMLElement}[]} */
let endpoints = [];
let which = "new";

function table(caption, heads, rows) {
  const cells = (row) => row.map((cell, i) => make(i === 0 ? "th" : "td", i === 0 ? { scope: "row", role: "rowheader", "data-label": heads[i], class: "mono" } : { role: "cell", "data-label": heads[i] }, cell));
  return make(
    "table",
    { role: "table", class: "cards" },
    make("caption", { class: "unseen" }, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads.map((head) => make("th", { scope: "col", role: "columnheader" }, head)))),
    make("tbody", { role: "rowgroup" }, ...rows.map((row) => make("tr", { role: "row" }, ...cells(row)))),
  );
}

const schemaOf = (operation) => Object.values(operation.responses["200"].content)[0].schema;

/** Return what an endpoint takes and answers. */
function details({ path, operation }) {
  const parts = [];
  const parameters = operation.parameters ?? [];
  if (parameters.length === 0) parts.push(make("p", {}, ...phrase`${make("a", { href: `..${path}` }, t("Open"))} what this node answers now.`));
  if (parameters.length > 0) {
    const rows = parameters.map(({ name, description, schema, required }) => [name, required ? t("in the path") : t("in the query"), [description, limitsOf(schema)].filter((text) => text !== "").join(" (") + (limitsOf(schema) === "" ? "" : ")")]);
    parts.push(table(t`Parameters of ${path}`, [t("Parameter"), t("Place"), t("Meaning")], rows));
  }
  const schema = schemaOf(operation);
  parts.push(make("p", {}, t`Answer: ${typeOf(schema)}${schema.description === undefined ? "" : `, ${schema.description}`}.`));
  const fields = fieldsOf(schema);
  if (fields.length > 0) parts.push(table(t`Fields of ${path}`, [t("Field"), t("Type"), t("Meaning")], fields.map(({ name, type, text }) => [name, type, text])));
  const errors = Object.entries(operation.responses).filter(([status]) => status !== "200");
  if (errors.length > 0) parts.push(table(t`Errors of ${path}`, [t("Status"), t("Meaning")], errors.map(([status, { description }]) => [status, description.replaceAll("`", "")])));
  return parts;
}

/** Return an endpoint that shows its details when it is opened: all of them at once would be slow. */
function section(endpoint) {
  const { path, operation } = endpoint;
  const node = make("details", {}, make("summary", {}, make("code", {}, path), ` ${operation.summary}`));
  node.addEventListener("toggle", () => node.open && node.children.length === 1 && node.append(...details(endpoint)));
  return node;
}

function show() {
  const wanted = byId("search").value.trim().toLowerCase();
  const shown = endpoints.filter(({ path, words }) => (which === "all" || VERSION_1.test(path)) && words.includes(wanted));
  const topics = new Map();
  for (const endpoint of shown) {
    endpoint.node ??= section(endpoint);
    topics.set(endpoint.topic, [...(topics.get(endpoint.topic) ?? []), endpoint.node]);
  }
  const panels = [...topics].map(([topic, nodes]) => {
    const id = `topic-${topic}`;
    return make("section", { class: "panel", "aria-labelledby": id }, make("h2", { id }, TOPICS[topic] ?? topic[0].toUpperCase() + topic.slice(1)), ...nodes);
  });
  byId("endpoints").replaceChildren(...(panels.length > 0 ? panels : [make("p", { class: "empty" }, t("No matches. Change the search, or choose All paths."))]));
  setText(byId("found"), t`${integer(shown.length)} of ${integer(endpoints.length)} paths`);
}

async function load() {
  const { status, value } = await fetchJson("api/openapi.json");
  if (status !== 200) return;
  endpoints = Object.entries(value.paths).map(([path, { get: operation }]) => {
    const names = fieldsOf(schemaOf(operation)).map(({ name }) => name);
    return { path, operation, topic: operation.tags[0], words: [path, operation.summary, ...names].join(" ").toLowerCase(), node: null };
  });
  show();
}

byId("tools").addEventListener("submit", (event) => event.preventDefault());
byId("search").addEventListener("input", show);
byId("which").addEventListener("click", (event) => {
  const wanted = event.target.closest("button")?.dataset.which;
  if (wanted === undefined) return;
  which = wanted;
  for (const button of byId("which").children) button.setAttribute("aria-pressed", String(button.dataset.which === which));
  show();
});

startPage({});
load().catch(() => setText(byId("endpoints"), t("The node does not answer. Load this page again later.")));
