/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The operations of vectors.h by the instructions of 64-bit ARM processors: NEON, which all of them have, and AES.
 */
#ifndef X11_AARCH64_H
#define X11_AARCH64_H

#include <arm_neon.h>
#include <stdint.h>

#include "targets.h"

#define FOR_AES __attribute__((target(X11_TARGET_AES)))
#define FOR_WIDE
#define INLINE_AES static inline __attribute__((always_inline)) FOR_AES
#define INLINE_WIDE static inline __attribute__((always_inline))

typedef uint8x16_t bits128;

#define LOAD4(address) vld1q_u8((const void *)(address))
#define STORE4(address, words) vst1q_u8((void *)(address), words)

#define ZERO4 vdupq_n_u8(0)
#define WORDS4(a, b, c, d) ((bits128)(uint32x4_t){(uint32_t)(a), (uint32_t)(b), (uint32_t)(c), (uint32_t)(d)})
#define BYTES16(...) ((bits128)(int8x16_t){__VA_ARGS__})
#define EACH_BYTE(byte) vdupq_n_u8((uint8_t)(byte))

#define XOR4(a, b) veorq_u8(a, b)
#define ADD4(a, b) ((bits128)vaddq_u32((uint32x4_t)(a), (uint32x4_t)(b)))
#define NEXT_WORDS(high, low) vextq_u8(low, high, 4)
#define ROTATE_WORDS(words) vextq_u8(words, words, 4)
#define SHUFFLE_BYTES(bytes, places) vqtbl1q_u8(bytes, places)
#define WITH_LAST_BYTE(bytes, byte) vsetq_lane_u8(byte, bytes, 15)
#define DOUBLE4(bytes) x11_double4(bytes)

#define LOW_BYTES(a, b) vzip1q_u8(a, b)
#define HIGH_BYTES(a, b) vzip2q_u8(a, b)
#define LOW_PAIRS(a, b) ((bits128)vzip1q_u16((uint16x8_t)(a), (uint16x8_t)(b)))
#define HIGH_PAIRS(a, b) ((bits128)vzip2q_u16((uint16x8_t)(a), (uint16x8_t)(b)))
#define LOW_WORDS(a, b) ((bits128)vzip1q_u32((uint32x4_t)(a), (uint32x4_t)(b)))
#define HIGH_WORDS(a, b) ((bits128)vzip2q_u32((uint32x4_t)(a), (uint32x4_t)(b)))
#define LOW_HALVES(a, b) ((bits128)vzip1q_u64((uint64x2_t)(a), (uint64x2_t)(b)))
#define HIGH_HALVES(a, b) ((bits128)vzip2q_u64((uint64x2_t)(a), (uint64x2_t)(b)))

/* The instruction AESE adds a key before it substitutes bytes; that of x86-64 adds it in the end. */
#define X11_KEY_AND_ROUND(key, state) vaesmcq_u8(vaeseq_u8(state, key))
#define AES_ROUND(state, key) veorq_u8(X11_KEY_AND_ROUND(ZERO4, state), key)
#define AES_LAST_ROUND(state, key) veorq_u8(vaeseq_u8(state, ZERO4), key)
#define AES_TWO_ROUNDS(state, key) X11_KEY_AND_ROUND(key, X11_KEY_AND_ROUND(ZERO4, state))
#define AES_FOUR_ROUNDS(state, a, b, c, d) \
    X11_KEY_AND_ROUND(d, X11_KEY_AND_ROUND(c, X11_KEY_AND_ROUND(b, X11_KEY_AND_ROUND(a, state))))

INLINE_WIDE bits128 x11_double4(bits128 bytes)
{
    const bits128 highest_bits = (bits128)vshrq_n_s8((int8x16_t)bytes, 7);
    return XOR4(vaddq_u8(bytes, bytes), vbicq_u8(EACH_BYTE(0x1b), highest_bits));
}

#endif
