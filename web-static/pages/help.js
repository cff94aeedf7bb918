// The help page: whether the pool suits a miner, what its state means, and when it is paid.

import { buildCalculator } from "../js/calculator.js";
import { byId, setText } from "../js/dom.js";
import { duration, integer, percent } from "../js/format.js";
import { t } from "../js/language.js";
import { startPage } from "../js/page.js";

let symbol = "DASH";
buildCalculator(byId("calculator"), () => symbol);

startPage({
  views: ["api/v1/pool"],
  show(values) {
    const pool = values.get("api/v1/pool");
    if (pool !== undefined) {
      symbol = pool.symbol;
      const time = pool.observed_time_to_block;
      setText(byId("h-block"), time === null ? t("not known yet") : t`about every ${duration(time)}`);
      setText(byId("h-period"), integer(pool.share_period));
    }
    const node = values.get("api/v1/node");
    if (node !== undefined) setText(byId("h-fee"), t`${percent(node.fee, 2)} and ${percent(node.donation, 2)}`);
  },
});
