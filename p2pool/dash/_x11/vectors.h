/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Operations on registers of 128 bits, by the names that x86.h and aarch64.h give them, so that one text serves both
 * kinds of processor. The first byte or word is the lowest.
 *
 *   bits128                  the type
 *   FOR_AES, INLINE_AES      go before a function that may use the instructions for AES
 *   FOR_WIDE, INLINE_WIDE    go before a function that may use AVX2 or NEON
 *   UNROLL                   goes before a loop over registers, which cannot be indexed: it is written out
 *   LOAD4, STORE4            from and to any address
 *   ZERO4, WORDS4, BYTES16, EACH_BYTE
 *                            constants: zero, four words, sixteen bytes, sixteen times one byte
 *   XOR4, ADD4               of four words
 *   NEXT_WORDS(high, low)    the last three words of `low`, and the first one of `high`
 *   ROTATE_WORDS             the first word becomes the last
 *   SHUFFLE_BYTES(bytes, places)
 *                            the bytes at 16 places, each less than 16
 *   WITH_LAST_BYTE           replaces one byte
 *   DOUBLE4                  each byte, multiplied by x in the field of AES, plus 0x1b
 *   LOW_BYTES, LOW_PAIRS, LOW_WORDS, LOW_HALVES
 *                            units of 1, 2, 4 and 8 bytes from the low halves of two registers in turn
 *   HIGH_BYTES, HIGH_PAIRS, HIGH_WORDS, HIGH_HALVES
 *                            the same from the high halves
 *   AES_ROUND(state, key), AES_LAST_ROUND(state, key)
 *                            a round of AES, and one without MixColumns; the key is added in the end
 *   AES_TWO_ROUNDS(state, key)
 *                            two rounds, with a key between them
 *   AES_FOUR_ROUNDS(state, a, b, c, d)
 *                            four rounds, with a key before each
 */
#ifndef X11_VECTORS_H
#define X11_VECTORS_H

#include "x11.h"

#define UNROLL _Pragma("GCC unroll 32")

#if X11_X86
#include "x86.h"
#elif X11_AARCH64
#include "aarch64.h"
#endif

#endif
