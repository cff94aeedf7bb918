/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * CubeHash of 64 bytes with AVX2.
 *
 * A register holds eight words. Bit 3 of a word's index chooses its register, bit 0 the half of the register, bit 2 the
 * half of that half, and bit 1 the place in it. Of the four swaps of a round, one is then a change of names. The others
 * are made while the rotations of the other half of the state, which take longer, are under way: the one between the
 * halves of a register, which takes longest, at the end of a round.
 */
#include "cubehash.h"

#if X11_X86

#include "vectors.h"

typedef struct {
    __m256i low[2], high[2];
} cubehash_state;

/* Load eight words that are in order of their index. */
INLINE_AVX2 __m256i cubehash_load(const void *words)
{
    return _mm256_permutevar8x32_epi32(LOAD8(words), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

/* Store eight words in order of their index. */
INLINE_AVX2 void cubehash_store(void *words, __m256i ordered)
{
    STORE8(words, _mm256_permutevar8x32_epi32(ordered, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

/* `count` must be even. */
INLINE_AVX2 void cubehash_rounds(cubehash_state *state, int count)
{
    __m256i a = state->low[0], b = state->low[1], c = state->high[0], d = state->high[1];

    while (count-- > 0) {
        __m256i e, f;

        c = ADD8(c, a);
        d = ADD8(d, b);
        e = XOR8(ROTL8(b, 7), c);
        f = XOR8(ROTL8(a, 7), d);
        c = ADD8(_mm256_shuffle_epi32(c, 0xb1), e);
        d = ADD8(_mm256_shuffle_epi32(d, 0xb1), f);
        /* Bit 2 of all indexes is complemented in every other round. That leaves the swap of a and b to c and d, which
         * have time for it. */
        a = XOR8(ROTL8(e, 11), _mm256_shuffle_epi32(c, 0x4e));
        b = XOR8(ROTL8(f, 11), _mm256_shuffle_epi32(d, 0x4e));
        c = _mm256_permute4x64_epi64(c, 0x1b);
        d = _mm256_permute4x64_epi64(d, 0x1b);
    }
    state->low[0] = a;
    state->low[1] = b;
    state->high[0] = c;
    state->high[1] = d;
}

INLINE_AVX2 void cubehash_absorb(cubehash_state *state, __m256i block)
{
    state->low[0] = XOR8(state->low[0], block);
    cubehash_rounds(state, CUBEHASH_ROUNDS);
}

FOR_AVX2 void X11_WIDE(cubehash_64)(const uint8_t message[64], uint8_t digest[64])
{
    const uint32_t *initial = x11_cubehash_initial;
    cubehash_state state = {
        {cubehash_load(initial), cubehash_load(initial + 8)},
        {cubehash_load(initial + 16), cubehash_load(initial + 24)},
    };

    cubehash_absorb(&state, cubehash_load(message));
    cubehash_absorb(&state, cubehash_load(message + 32));
    cubehash_absorb(&state, _mm256_set_epi32(0, 0, 0, 0, 0, 0, 0, 0x80));
    /* Word 31 is the last of its register. */
    state.high[1] = XOR8(state.high[1], _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0));
    cubehash_rounds(&state, CUBEHASH_END_ROUNDS);
    cubehash_store(digest, state.low[0]);
    cubehash_store(digest + 32, state.low[1]);
}

#endif
