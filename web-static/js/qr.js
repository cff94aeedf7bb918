// QR codes of texts that people type into phones and miners, in a dialog.

import { make } from "./dom.js";
import { t } from "./language.js";

const SCALE = 8;
/** Light modules around the code, as scanners need them. */
const MARGIN = 4;

/** Return a button that shows a text, as it is when the button is pressed, as a QR code; `what` names the text. */
export function qrButton(text, what) {
  const button = make("button", { type: "button", class: "small" }, "QR", make("span", { class: "unseen" }, t` code of ${what}`));
  button.addEventListener("click", async () => {
    const { generate } = await import("../vendor/lean-qr.mjs");
    showDialog(draw(generate(text())), text(), what);
  });
  return button;
}

function draw(code) {
  const size = code.size + 2 * MARGIN;
  const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { width: String(size * SCALE), height: String(size * SCALE), "aria-hidden": "true" }));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "#fff"; // whatever the theme is: scanners expect dark on light
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#000";
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) {
      if (code.get(x, y)) context.fillRect((x + MARGIN) * SCALE, (y + MARGIN) * SCALE, SCALE, SCALE);
    }
  }
  return canvas;
}

function showDialog(canvas, text, what) {
  const close = make("button", { type: "button", class: "button" }, t("Close"));
  const dialog = /** @type {HTMLDialogElement} */ (
    make("dialog", { class: "qr", "aria-label": t`QR code of ${what}` }, canvas, make("p", { class: "mono" }, text), close)
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
