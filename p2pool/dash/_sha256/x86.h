/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The SHA instructions of x86-64, for sha.c.
 */
#ifndef SHA256_X86_H
#define SHA256_X86_H

#include <immintrin.h>

#include "sha256.h"

#define FOR_SHA __attribute__((target("sha,ssse3,sse4.1")))
#define INLINE static inline __attribute__((always_inline)) FOR_SHA

typedef __m128i four_words; /* the first is the lowest */

/* The words of a state as the instructions want them: a, b, e, f and c, d, g, h, each from the highest down. */
struct halves {
    __m128i abef, cdgh;
};

INLINE four_words load(const void *address)
{
    return _mm_loadu_si128(address);
}

INLINE void store(void *address, four_words words)
{
    _mm_storeu_si128(address, words);
}

INLINE four_words add(four_words a, four_words b)
{
    return _mm_add_epi32(a, b);
}

/* Four words from bytes, or back. */
INLINE four_words swap_bytes(four_words words)
{
    return _mm_shuffle_epi8(words, _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
}

INLINE struct halves halves_of(four_words dcba, four_words hgfe)
{
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

INLINE void words_of(struct halves state, four_words *dcba, four_words *hgfe)
{
    const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1b), dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    *dcba = _mm_blend_epi16(feba, dchg, 0xf0);
    *hgfe = _mm_alignr_epi8(dchg, feba, 8);
}

INLINE struct halves add_halves(struct halves a, struct halves b)
{
    return (struct halves){_mm_add_epi32(a.abef, b.abef), _mm_add_epi32(a.cdgh, b.cdgh)};
}

/* The words of the schedule after sixteen others. */
INLINE four_words next_words(four_words first, four_words second, four_words third, four_words last)
{
    const __m128i middle = _mm_alignr_epi8(last, third, 4);
    return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(first, second), middle), last);
}

/* Four rounds, given the sums of the constants and the words of the schedule. */
INLINE void four_rounds(struct halves *state, four_words sums)
{
    state->cdgh = _mm_sha256rnds2_epu32(state->cdgh, state->abef, sums);
    state->abef = _mm_sha256rnds2_epu32(state->abef, state->cdgh, _mm_shuffle_epi32(sums, 0x0e));
}

#endif
