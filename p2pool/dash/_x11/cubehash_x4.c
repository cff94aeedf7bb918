/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * CubeHash of four messages of 64 bytes with AVX2, two at a time.
 *
 * Each half of a register holds four words of one message. Bits 2 and 3 of a word's index choose the register, so
 * that two of the four swaps of a round are changes of names.
 */
#include "cubehash.h"

#if X11_X86

#include "x86.h"

typedef struct {
    __m256i low[4], high[4];
} cubehash_pair;

/* The words at two addresses, four each. */
INLINE_AVX2 __m256i cubehash_load_pair(const void *first, const void *second)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(LOAD4(first)), LOAD4(second), 1);
}

INLINE_AVX2 void cubehash_pair_rounds(cubehash_pair *state, int count)
{
    __m256i low[4], high[4];

    UNROLL
    for (int i = 0; i < 4; i++) {
        low[i] = state->low[i];
        high[i] = state->high[i];
    }
    while (count-- > 0) {
        __m256i next[4];

        UNROLL
        for (int i = 0; i < 4; i++)
            high[i] = ADD8(high[i], low[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            next[i] = XOR8(ROTL8(low[i ^ 2], 7), high[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            high[i] = ADD8(_mm256_shuffle_epi32(high[i], 0x4e), next[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            low[i] = XOR8(ROTL8(next[i ^ 1], 11), high[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            high[i] = _mm256_shuffle_epi32(high[i], 0xb1);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        state->low[i] = low[i];
        state->high[i] = high[i];
    }
}

INLINE_AVX2 void cubehash_pair_absorb(cubehash_pair *state, __m256i first_half, __m256i second_half)
{
    state->low[0] = XOR8(state->low[0], first_half);
    state->low[1] = XOR8(state->low[1], second_half);
    cubehash_pair_rounds(state, CUBEHASH_ROUNDS);
}

FOR_AVX2 static void cubehash_hash_two(const uint8_t *const in[2], uint8_t *const out[2])
{
    const uint32_t *initial = x11_cubehash_initial;
    cubehash_pair state;

    UNROLL
    for (int i = 0; i < 4; i++) {
        state.low[i] = cubehash_load_pair(initial + 4 * i, initial + 4 * i);
        state.high[i] = cubehash_load_pair(initial + 16 + 4 * i, initial + 16 + 4 * i);
    }
    cubehash_pair_absorb(&state, cubehash_load_pair(in[0], in[1]),
                         cubehash_load_pair(in[0] + 16, in[1] + 16));
    cubehash_pair_absorb(&state, cubehash_load_pair(in[0] + 32, in[1] + 32),
                         cubehash_load_pair(in[0] + 48, in[1] + 48));
    cubehash_pair_absorb(&state, _mm256_setr_epi32(0x80, 0, 0, 0, 0x80, 0, 0, 0), _mm256_setzero_si256());
    state.high[3] = XOR8(state.high[3], _mm256_setr_epi32(0, 0, 0, 1, 0, 0, 0, 1));
    cubehash_pair_rounds(&state, CUBEHASH_END_ROUNDS);
    UNROLL
    for (int i = 0; i < 4; i++) {
        STORE4(out[0] + 16 * i, _mm256_castsi256_si128(state.low[i]));
        STORE4(out[1] + 16 * i, _mm256_extracti128_si256(state.low[i], 1));
    }
}

FOR_AVX2 void X11_FOUR(cubehash_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    cubehash_hash_two(in, out);
    cubehash_hash_two(in + 2, out + 2);
}

#endif
