// How to connect a miner to this node: the URLs with its host and ports, an example, and buttons that copy them.

import { byId, copy, setText } from "./dom.js";
import { t } from "./language.js";
import { qrButton } from "./qr.js";

const put = (id, text) => setText(byId(id), text);

/** Show the URLs for miners: with the port of this page until the node reports its ports, which may differ. */
export function showHowToConnect(node) {
  const { hostname, port, protocol } = location;
  const plain = node?.worker_port ?? (port || (protocol === "https:" ? "PORT" : "80"));
  put("c-url", `stratum+tcp://${hostname}:${plain}`);
  put("c-command", `cpuminer -a x11 -o stratum+tcp://${hostname}:${plain} -u ADDRESS.worker -p x`);
  const tls = node?.worker_tls_port ?? null;
  byId("c-tls-row").hidden = tls === null;
  if (tls !== null) put("c-tls", `stratum+ssl://${hostname}:${tls}`);
  const hint = byId("c-hint");
  const near = ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  if (near) setText(hint, t("Miners on other machines must use the address of this machine instead."));
  else if (port === "") setText(hint, t("This page was loaded without a port, perhaps through a proxy: miners must use the node’s own host and port."));
  hint.hidden = !near && port !== "";
}

/** Show with which letter the addresses of this network begin. */
export const showAddressType = ({ network }) => put("c-prefix", network === "dash" ? t("starting with X") : t("starting with y"));

/** Make the buttons of the panel work, and show what is known before the node answers. */
export function startConnect() {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("button[data-copy]"))) {
    button.addEventListener("click", () => copy(byId(button.dataset.copy).textContent, button));
  }
  byId("c-url").parentNode.append(" ", qrButton(() => byId("c-url").textContent, t("the URL")));
  showHowToConnect();
}
