// Decodes a coinbase transaction: outputs, script types, addresses.

import { integer, percent } from "./format.js";
import { t } from "./language.js";

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Return the version bytes of P2PKH and P2SH addresses. */
export function addressVersions(network) {
  return network === "dash" ? { key: 76, script: 16 } : { key: 140, script: 19 };
}

export function fromHex(text) {
  if (typeof text !== "string" || text.length % 2 !== 0 || /[^0-9a-f]/i.test(text)) throw new Error(t("not hexadecimal"));
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Return a coinbase script as printable ASCII, other bytes as dots. */
export const asText = (bytes) => Array.from(bytes, (b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : "·")).join("");

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  take(count) {
    if (count > this.bytes.length - this.at) throw new Error(t("the transaction is truncated"));
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** @returns {number} */
  number(size) {
    const start = this.at;
    this.take(size);
    if (size === 1) return this.view.getUint8(start);
    if (size === 2) return this.view.getUint16(start, true);
    return this.view.getUint32(start, true);
  }

  bigint() {
    const start = this.at;
    this.take(8);
    return this.view.getBigUint64(start, true);
  }

  compact() {
    const first = this.number(1);
    if (first < 253) return first;
    return first === 255 ? Number(this.bigint()) : this.number(first === 253 ? 2 : 4);
  }
}

/** Return {version, type, outputs: [{value (BigInt of duffs), script}], payload}. Throw an Error for malformed bytes. */
export function parseTransaction(bytes) {
  const reader = new Reader(bytes);
  const version = reader.number(2);
  const type = reader.number(2);
  for (let left = reader.compact(); left > 0; left -= 1) {
    reader.take(36);
    reader.take(reader.compact());
    reader.take(4);
  }
  const outputs = [];
  for (let left = reader.compact(); left > 0; left -= 1) {
    const value = reader.bigint();
    outputs.push({ value, script: reader.take(reader.compact()) });
  }
  reader.take(4);
  const payload = type === 0 ? new Uint8Array() : reader.take(reader.compact());
  return { version, type, outputs, payload };
}

/** Return {kind, to} of an output's script: `kind` in words, `to` an address or null. */
export function describeScript(script, versions) {
  const starts = (...bytes) => bytes.every((byte, i) => script[i] === byte);
  const { length } = script;
  if (length === 25 && starts(0x76, 0xa9, 0x14) && script[23] === 0x88 && script[24] === 0xac) {
    return { kind: t("public key hash (P2PKH)"), to: address(versions.key, script.subarray(3, 23)) };
  }
  if (length === 23 && starts(0xa9, 0x14) && script[22] === 0x87) {
    return { kind: t("script hash (P2SH)"), to: address(versions.script, script.subarray(2, 22)) };
  }
  if ((length === 35 || length === 67) && script[0] === length - 2 && script[length - 1] === 0xac) {
    return { kind: t("public key (P2PK)"), to: null };
  }
  if (length === 1 && script[0] === 0x6a) return { kind: t("Dash Platform credit pool (OP_RETURN)"), to: null };
  if (length === 42 && starts(0x6a, 0x28)) return { kind: t("commitment to the share (OP_RETURN)"), to: null };
  if (script[0] === 0x6a) return { kind: t("data (OP_RETURN)"), to: null };
  return { kind: t`non-standard script, ${integer(length)} bytes`, to: null };
}

function address(version, hash) {
  const body = new Uint8Array([version, ...hash]);
  const whole = [...body, ...sha256(sha256(body)).subarray(0, 4)];
  let number = whole.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let text = "";
  for (; number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text;
  for (const byte of whole) {
    if (byte !== 0) break;
    text = BASE58[0] + text;
  }
  return text;
}

// SHA-256 (FIPS 180-4). Browsers offer theirs in secure contexts only, and nodes often use plain http.

/** Return the first 32 bits of the fractional parts of the roots of the first `count` primes. */
function rootBits(count, root) {
  const found = [];
  for (let n = 2; found.length < count; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) prime = false;
    if (prime) found.push((root(n) % 1) * 2 ** 32);
  }
  return Uint32Array.from(found, Math.floor);
}

const ROUND = rootBits(64, Math.cbrt);
const START = rootBits(8, Math.sqrt);
const turn = (x, n) => (x >>> n) | (x << (32 - n));

export function sha256(bytes) {
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(bytes.length) * 8n);
  const state = START.slice();
  const w = new Uint32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let i = 0; i < 16; i += 1) w[i] = view.getUint32(block + 4 * i);
    for (let i = 16; i < 64; i += 1) {
      const low = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const high = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i += 1) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => out.setUint32(4 * i, word));
  return new Uint8Array(out.buffer);
}

/** Return what this node's own address is paid for, by /api/v1/node: the transaction does not tell, but this node's
 * latest shares do. */
export function ownText(node) {
  const { fee, own_work: work } = node ?? { fee: 0, own_work: { fee: 0, own_mining: 0 } };
  const whose = t("this node’s own address");
  if (work.fee > 0 && work.own_mining > 0) {
    const part = percent(work.fee / (work.fee + work.own_mining), 0);
    return t`${whose} (latest shares: ${part} fee, the rest own mining)`;
  }
  if (work.fee > 0) return t`${whose} (fee)`;
  if (work.own_mining > 0 || fee === 0) return t`${whose} (own mining)`;
  return t`${whose} (fee or own mining)`;
}
