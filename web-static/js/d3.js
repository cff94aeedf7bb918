// D3 as a module. Its bundle is a script of the older kind that puts itself into the global object where it finds
// neither CommonJS nor AMD; imported as a module it does the same.

import "../vendor/d3.min.js";

export const d3 = globalThis.d3;
