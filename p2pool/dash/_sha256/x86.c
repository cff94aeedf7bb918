/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHA-256 by the SHA instructions of x86 processors. One instruction does two rounds, and the next one waits for it; so
 * merkle trees hash two pairs side by side, which takes hardly longer than one.
 */
#include "sha256.h"

#if SHA256_X86

#include <immintrin.h>

#define FOR_SHA __attribute__((target("sha,ssse3,sse4.1")))
#define INLINE static inline __attribute__((always_inline)) FOR_SHA
#define UNROLL _Pragma("GCC unroll 16")

/* The words of a state as the instructions want them: a, b, e, f and c, d, g, h, each from the highest down. */
struct halves {
    __m128i abef, cdgh;
};

INLINE __m128i load(const void *address)
{
    return _mm_loadu_si128(address);
}

INLINE void store(void *address, __m128i words)
{
    _mm_storeu_si128(address, words);
}

/* Four words from bytes, or back. */
INLINE __m128i swap_bytes(__m128i words)
{
    return _mm_shuffle_epi8(words, _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
}

INLINE struct halves halves_of(__m128i dcba, __m128i hgfe)
{
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

INLINE void words_of(struct halves state, __m128i *dcba, __m128i *hgfe)
{
    const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1b), dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    *dcba = _mm_blend_epi16(feba, dchg, 0xf0);
    *hgfe = _mm_alignr_epi8(dchg, feba, 8);
}

INLINE struct halves initial(void)
{
    return halves_of(load(sha256_initial), load(sha256_initial + 4));
}

/* Compress one block into each of `lanes` states; `words` are the blocks' words, four registers a block. */
INLINE void compress(int lanes, struct halves *states, __m128i *words)
{
    struct halves before[2];

    UNROLL for (int lane = 0; lane < lanes; lane++)
        before[lane] = states[lane];
    UNROLL for (int i = 0; i < 16; i++) {
        const __m128i constants = load(sha256_constants + 4 * i);
        UNROLL for (int lane = 0; lane < lanes; lane++) {
            __m128i *const w = words + 4 * lane;
            struct halves *const state = states + lane;
            if (i >= 4) {
                const __m128i last = w[(i + 3) % 4], middle = _mm_alignr_epi8(last, w[(i + 2) % 4], 4);
                const __m128i first = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);
                w[i % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(first, middle), last);
            }
            const __m128i sum = _mm_add_epi32(w[i % 4], constants);
            state->cdgh = _mm_sha256rnds2_epu32(state->cdgh, state->abef, sum);
            state->abef = _mm_sha256rnds2_epu32(state->abef, state->cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
    }
    UNROLL for (int lane = 0; lane < lanes; lane++) {
        states[lane].abef = _mm_add_epi32(states[lane].abef, before[lane].abef);
        states[lane].cdgh = _mm_add_epi32(states[lane].cdgh, before[lane].cdgh);
    }
}

FOR_SHA void sha256_compress_sha(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    struct halves halves = halves_of(load(state), load(state + 4));
    __m128i words[4], dcba, hgfe;

    for (; count; count--, blocks += SHA256_BLOCK) {
        UNROLL for (int i = 0; i < 4; i++)
            words[i] = swap_bytes(load(blocks + 16 * i));
        compress(1, &halves, words);
    }
    words_of(halves, &dcba, &hgfe);
    store(state, dcba);
    store(state + 4, hgfe);
}

/* Hash `lanes` pairs twice. */
INLINE void pairs_side_by_side(int lanes, const uint8_t *pairs, uint8_t *digests)
{
    struct halves states[2];
    __m128i words[8];

    UNROLL for (int lane = 0; lane < lanes; lane++)
        states[lane] = initial();
    UNROLL for (int i = 0; i < 4 * lanes; i++)
        words[i] = swap_bytes(load(pairs + 16 * i));
    compress(lanes, states, words);
    UNROLL for (int lane = 0; lane < lanes; lane++) {
        /* The end of a message of 64 bytes. */
        words[4 * lane] = _mm_set_epi32(0, 0, 0, (int)0x80000000);
        words[4 * lane + 1] = words[4 * lane + 2] = _mm_setzero_si128();
        words[4 * lane + 3] = _mm_set_epi32(8 * SHA256_BLOCK, 0, 0, 0);
    }
    compress(lanes, states, words);
    UNROLL for (int lane = 0; lane < lanes; lane++) {
        words_of(states[lane], &words[4 * lane], &words[4 * lane + 1]);
        words[4 * lane + 2] = _mm_set_epi32(0, 0, 0, (int)0x80000000);
        words[4 * lane + 3] = _mm_set_epi32(8 * SHA256_DIGEST, 0, 0, 0);
        states[lane] = initial();
    }
    compress(lanes, states, words);
    UNROLL for (int lane = 0; lane < lanes; lane++) {
        __m128i dcba, hgfe;
        words_of(states[lane], &dcba, &hgfe);
        store(digests + SHA256_DIGEST * lane, swap_bytes(dcba));
        store(digests + SHA256_DIGEST * lane + 16, swap_bytes(hgfe));
    }
}

FOR_SHA void sha256_pairs_sha(const uint8_t *pairs, size_t count, uint8_t *digests)
{
    for (; count >= 2; count -= 2, pairs += 2 * SHA256_BLOCK, digests += 2 * SHA256_DIGEST)
        pairs_side_by_side(2, pairs, digests);
    if (count)
        pairs_side_by_side(1, pairs, digests);
}

#else

typedef int sha256_not_x86; /* ISO C wants something in every file */

#endif
