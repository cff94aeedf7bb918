// The form that leads to a share by its hash: `#look` with `#look-hash` and `#look-problem`.

import { byId, setText } from "./dom.js";
import { isHash } from "./format.js";

/** Lets the page's form lead to a share. */
export function startShareSearch() {
  byId("look").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = byId("look-hash").value.trim();
    if (isHash(wanted)) {
      location.href = `share.html?hash=${wanted.toLowerCase()}`;
      return;
    }
    setText(byId("look-problem"), `A share’s hash has 64 digits of 0-9 and a-f; this has ${wanted.length} characters.`);
    byId("look-hash").focus();
  });
}
