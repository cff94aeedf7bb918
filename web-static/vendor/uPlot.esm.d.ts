/** What the pages use of uPlot: its constructor. */
declare const uPlot: any;
export default uPlot;
