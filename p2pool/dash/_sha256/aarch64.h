/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The SHA-256 instructions of 64-bit ARM processors, for sha.c.
 */
#ifndef SHA256_AARCH64_H
#define SHA256_AARCH64_H

#include <arm_neon.h>

#include "sha256.h"

/* The functions of arm_neon.h for SHA-256 are only inlined into those that may use AES, too. */
#define FOR_SHA __attribute__((target("+crypto")))
#define INLINE static inline __attribute__((always_inline)) FOR_SHA

typedef uint32x4_t four_words; /* the first is the lowest */

/* The words of a state, each half from the lowest up. */
struct halves {
    uint32x4_t abcd, efgh;
};

INLINE four_words load(const void *address)
{
    return vreinterpretq_u32_u8(vld1q_u8(address));
}

INLINE void store(void *address, four_words words)
{
    vst1q_u8(address, vreinterpretq_u8_u32(words));
}

INLINE four_words add(four_words a, four_words b)
{
    return vaddq_u32(a, b);
}

/* Four words from bytes, or back. */
INLINE four_words swap_bytes(four_words words)
{
    return vreinterpretq_u32_u8(vrev32q_u8(vreinterpretq_u8_u32(words)));
}

INLINE struct halves halves_of(four_words dcba, four_words hgfe)
{
    return (struct halves){dcba, hgfe};
}

INLINE void words_of(struct halves state, four_words *dcba, four_words *hgfe)
{
    *dcba = state.abcd;
    *hgfe = state.efgh;
}

INLINE struct halves add_halves(struct halves a, struct halves b)
{
    return (struct halves){vaddq_u32(a.abcd, b.abcd), vaddq_u32(a.efgh, b.efgh)};
}

/* The words of the schedule after sixteen others. */
INLINE four_words next_words(four_words first, four_words second, four_words third, four_words last)
{
    return vsha256su1q_u32(vsha256su0q_u32(first, second), third, last);
}

/* Four rounds, given the sums of the constants and the words of the schedule. */
INLINE void four_rounds(struct halves *state, four_words sums)
{
    const uint32x4_t abcd = state->abcd;
    state->abcd = vsha256hq_u32(abcd, state->efgh, sums);
    state->efgh = vsha256h2q_u32(state->efgh, abcd, sums);
}

#endif
