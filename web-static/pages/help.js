// The help page: how to connect to this node, whether the pool suits a miner, when it is paid, questions and terms.

import { buildCalculator } from "../js/calculator.js";
import { showAddressType, showHowToConnect, startConnect } from "../js/connect.js";
import { byId, setText } from "../js/dom.js";
import { difficulty, duration, integer, percent } from "../js/format.js";
import { t } from "../js/language.js";
import { startPage } from "../js/page.js";

const HASHES_PER_DIFFICULTY = 2 ** 32;
/** The hash rate for which the time to a share is told, in hashes a second. */
const USUAL_RATE = 1e9;
let symbol = "DASH";

function showPool(pool) {
  symbol = pool.symbol;
  showAddressType(pool);
  const time = pool.observed_time_to_block;
  for (const node of document.querySelectorAll(".h-block")) setText(node, time === null ? t("not known yet") : t`about every ${duration(time)}`);
  setText(byId("h-period"), integer(pool.share_period));
  setText(byId("h-share"), difficulty(pool.share_difficulty));
  setText(byId("h-share-time"), duration((pool.share_difficulty * HASHES_PER_DIFFICULTY) / USUAL_RATE));
}

const repeatUrl = () => setText(byId("h-pool"), byId("c-url").textContent);

function showNode(node) {
  showHowToConnect(node);
  repeatUrl();
  setText(byId("h-fee"), percent(node.fee, 2));
  setText(byId("h-donation"), percent(node.donation, 2));
}

startConnect();
repeatUrl();
buildCalculator(byId("calculator"), () => symbol);
startPage({
  views: ["api/v1/pool"],
  show(values) {
    if (values.has("api/v1/pool")) showPool(values.get("api/v1/pool"));
    if (values.has("api/v1/node")) showNode(values.get("api/v1/node"));
  },
});
