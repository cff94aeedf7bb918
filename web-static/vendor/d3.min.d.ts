/** What the pages use of the D3 bundle: it sets a global. */
export {};
declare global {
  var d3: any;
}
