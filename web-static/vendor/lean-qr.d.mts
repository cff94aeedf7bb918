/** What the pages use of lean-qr. */
export function generate(text: string): { size: number; get(x: number, y: number): boolean };
