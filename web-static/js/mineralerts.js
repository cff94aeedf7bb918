// The alerts panel of an address: set alerts for it, and confirm or end them with the link of a message. A link only
// opens the page: what follows its # stays in the browser until its button is pressed.

import { BASE, fetchJson } from "./api.js";
import { byId, copyButton, make } from "./dom.js";
import { t } from "./language.js";

const EVENTS = [
  ["silent", t("A worker is silent, or back")],
  ["refused", t("Many submissions are rejected")],
  ["block", t("A block pays the address")],
];
/** For each channel: its name, what its destination is called, and an example. */
const CHANNELS = {
  webhook: [t("Webhook"), t("URL that receives JSON"), "example.org/hook"],
  ntfy: ["ntfy", t("URL of the topic"), "ntfy.sh/my-secret-topic"],
  email: [t("E-mail"), t("E-mail address"), "you@example.org"],
  telegram: [t("Telegram"), t("Number of your chat with this node’s bot"), "123456789"],
};
const PROOFS = {
  secret: t("A secret in the miner’s password"),
  signature: t("A message signed with the wallet"),
};
const LINKS = {
  confirm: [t("Confirm these alerts?"), t("Messages will be sent to the destination that got this link."), t("Confirm alerts"), t("Confirmed. Alerts will be sent from now on.")],
  unsubscribe: [t("End these alerts?"), t("No more messages will be sent to the destination that got this link."), t("End alerts"), t("Ended. No more messages will be sent.")],
};
const SECRET_HELP = t("Add alerts=SECRET to the miner’s password, with a secret of 12 or more letters and digits of your own (as in d=512,alerts=SECRET). When the miner has connected again, enter the secret here.");
const SIGN_HELP = t("Sign this text, without changes, with the key of the address: in Dash Core, choose “Sign message” in the menu “File”. It is valid for 10 minutes.");
const UNREACHABLE = t("The node does not answer. Try again.");

/** Return the answer to a POST: {status, value}; the status is 0 if there was none. */
async function post(name, body) {
  const path = name === "" ? "api/v1/miner-alerts" : `api/v1/miner-alerts/${name}`;
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(new URL(path, BASE), { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, value: await response.json() };
  } catch {
    return { status: 0, value: null };
  }
}

/** Return a sentence that says why a request failed. */
function problemOf({ status, value }) {
  const text = value?.error?.message;
  if (typeof text !== "string") return status === 0 ? UNREACHABLE : t`The node answered with status ${status}.`;
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

/** Show the panel of an address, if the node offers alerts. */
export async function showMinerAlerts(address) {
  let offered;
  try {
    const { status, value } = await fetchJson("api/v1/alerts");
    offered = status === 200 ? value.miners : null;
  } catch {
    return; // the banner says that the node does not answer
  }
  if (!offered || offered.channels.length === 0 || offered.proofs.length === 0) return;
  byId("alerts").hidden = false;
  byId("alerts-body").append(...form(address, offered));
  showLink();
  addEventListener("hashchange", showLink);
}

// --- links of messages ---------------------------------------------------------------------------------------

/** Show the question of the link that the page was opened with. */
function showLink() {
  const match = /^#(confirm|unsubscribe)=([0-9a-f]+)$/.exec(location.hash);
  const holder = byId("alerts-link");
  holder.replaceChildren();
  holder.hidden = match === null;
  if (match === null) return;
  const [question, note, action, done] = LINKS[match[1]];
  const title = make("h3", { tabindex: "-1" }, question);
  const button = make("button", { type: "button", class: "button" }, action);
  const said = make("p", { role: "status" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    const answer = await post(match[1], { token: match[2] });
    said.textContent = answer.status === 200 ? done : problemOf(answer);
    button.disabled = false;
    if (answer.status !== 200) return;
    button.remove();
    history.replaceState(null, "", location.pathname + location.search);
  });
  holder.append(title, make("p", {}, note), button, said);
  title.focus();
}

// --- setting alerts ------------------------------------------------------------------------------------------

/** Return the parts of the form. */
function form(address, { channels, proofs }) {
  const boxes = EVENTS.map(([event, text]) => {
    const box = make("input", { type: "checkbox", value: event });
    box.checked = true;
    return [box, make("label", { class: "wish" }, box, ` ${text}`)];
  });
  const channel = make("select", { id: "alerts-channel" }, ...channels.map((each) => make("option", { value: each }, CHANNELS[each][0])));
  const destination = make("input", { id: "alerts-destination", type: "text", autocomplete: "off", spellcheck: "false", maxlength: "300" });
  const destinationLabel = make("label", { for: "alerts-destination" });
  // People leave out the scheme of a URL.
  const isUrl = () => channel.value === "webhook" || channel.value === "ntfy";
  const whole = () => (isUrl() && destination.value !== "" && !destination.value.includes(":/") ? `https:${"//"}${destination.value}` : destination.value);
  const proof = proofPart(proofs, async () => post("challenge", { address, channel: channel.value, destination: whole() }));
  const said = make("p", { role: "status" });
  const showChannel = () => {
    const [, text, example] = CHANNELS[channel.value];
    destinationLabel.textContent = t`${text}, like ${example}`;
    proof.forget();
  };
  channel.addEventListener("change", showChannel);
  destination.addEventListener("input", proof.forget);
  showChannel();
  const button = make("button", { type: "submit", class: "button" }, t("Set alerts"));
  const node = make(
    "form",
    { class: "set-alerts", novalidate: "" },
    make("fieldset", {}, make("legend", {}, t("Tell me when")), ...boxes.map(([, label]) => label)),
    make("label", { for: "alerts-channel" }, t("Send messages by")),
    channel,
    destinationLabel,
    destination,
    proof.node,
    make("p", {}, button),
    said,
  );
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    const events = boxes.filter(([box]) => box.checked).map(([box]) => box.value);
    if (events.length === 0) {
      said.textContent = t("Choose at least one event.");
      return;
    }
    button.disabled = true;
    said.textContent = t("Asking the node.");
    const answer = await post("", { address, channel: channel.value, destination: whole(), events, ...proof.given() });
    button.disabled = false;
    said.textContent = answer.status === 200 ? doneText(answer.value) : problemOf(answer);
  });
  return [make("p", { class: "lead" }, t("Messages about this address, without an account. Each has a link that ends them.")), node];
}

function doneText({ confirmed }) {
  return confirmed ? t("Changed.") : t("A message with a link was sent to the destination. Open it within an hour to confirm.");
}

/** Return the part that proves the address: its `node`, what is `given` to the node, and `forget` for a text that is no longer valid. */
function proofPart(proofs, challenge) {
  const secret = make("input", { id: "alerts-secret", type: "password", autocomplete: "off", maxlength: "200" });
  const signature = make("input", { id: "alerts-signature", type: "text", autocomplete: "off", spellcheck: "false", maxlength: "200" });
  const text = make("div", { role: "status" });
  let message = "";
  const get = make("button", { type: "button", class: "button" }, t("Get the text to sign"));
  const forget = () => {
    message = "";
    text.replaceChildren();
  };
  get.addEventListener("click", async () => {
    get.disabled = true;
    const answer = await challenge();
    get.disabled = false;
    forget();
    if (answer.status !== 200) {
      text.append(make("p", {}, problemOf(answer)));
      return;
    }
    message = answer.value.message;
    text.append(make("p", { class: "note" }, SIGN_HELP), make("p", {}, make("span", { class: "mono wrapped" }, message), " ", copyButton(message, t("the text to sign"))));
  });
  const parts = {
    secret: make("div", {}, make("p", { class: "note" }, SECRET_HELP), make("label", { for: "alerts-secret" }, t("Secret")), secret),
    signature: make("div", {}, make("p", {}, get), text, make("label", { for: "alerts-signature" }, t("Signature")), signature),
  };
  let chosen = proofs.includes("secret") ? "secret" : "signature";
  const show = () => {
    for (const [name, part] of Object.entries(parts)) part.hidden = name !== chosen;
  };
  const choices = [...proofs].sort().map((name) => {
    const radio = make("input", { type: "radio", name: "alerts-proof", value: name });
    radio.checked = name === chosen;
    radio.addEventListener("change", () => {
      chosen = name;
      show();
    });
    return make("label", { class: "wish" }, radio, ` ${PROOFS[name]}`);
  });
  show();
  const node = make("fieldset", {}, make("legend", {}, t("Prove that the address is yours")), ...choices, parts.secret, parts.signature);
  const given = () => (chosen === "secret" ? { proof: chosen, secret: secret.value } : { proof: chosen, message, signature: signature.value.trim() });
  return { node, given, forget };
}
