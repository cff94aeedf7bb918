// D3 as a module. Its bundle is a UMD script: without CommonJS and AMD it sets the global `d3`, also when imported.

import "../vendor/d3.min.js";

export const d3 = globalThis.d3;
