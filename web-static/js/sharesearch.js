// The form that opens a share by its hash: `#look` with `#look-hash` and `#look-problem`.

import { byId, setText } from "./dom.js";
import { isHash } from "./format.js";
import { plural } from "./language.js";

/** Make the form of the page open the share. */
export function startShareSearch() {
  byId("look").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = byId("look-hash").value.trim();
    if (isHash(wanted)) {
      location.href = `share.html?hash=${wanted.toLowerCase()}`;
      return;
    }
    setText(byId("look-problem"), plural(wanted.length, "A share hash has 64 hex digits (0-9, a-f); this has {0} character.", "A share hash has 64 hex digits (0-9, a-f); this has {0} characters."));
    byId("look-hash").focus();
  });
}
