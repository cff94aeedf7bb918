/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * CubeHash of 64 bytes in rows of four words: of one message with NEON; with AVX2 of four messages, two at a time,
 * whose rows are the halves of a register.
 *
 * Bits 2 and 3 of a word's index choose the register, so that two of the four swaps of a round are changes of names.
 */
#include "cubehash.h"

#if X11_X86 || X11_AARCH64

#include "vectors.h"

#if X11_X86
typedef __m256i cubehash_row;
#define CUBEHASH_ADD(a, b) ADD8(a, b)
#define CUBEHASH_XOR(a, b) XOR8(a, b)
#define CUBEHASH_ROTL(row, count) ROTL8(row, count)
#define CUBEHASH_SWAP_PAIRS(row) _mm256_shuffle_epi32(row, 0x4e)
#define CUBEHASH_SWAP_WORDS(row) _mm256_shuffle_epi32(row, 0xb1)
#else
typedef uint32x4_t cubehash_row;
#define CUBEHASH_ADD(a, b) vaddq_u32(a, b)
#define CUBEHASH_XOR(a, b) veorq_u32(a, b)
#define CUBEHASH_ROTL(row, count) vsriq_n_u32(vshlq_n_u32(row, count), row, 32 - (count))
#define CUBEHASH_SWAP_PAIRS(row) vextq_u32(row, row, 2)
#define CUBEHASH_SWAP_WORDS(row) vrev64q_u32(row)
#endif

typedef struct {
    cubehash_row low[4], high[4];
} cubehash_rows;

INLINE_WIDE void cubehash_rows_rounds(cubehash_rows *state, int count)
{
    cubehash_row low[4], high[4];

    UNROLL
    for (int i = 0; i < 4; i++) {
        low[i] = state->low[i];
        high[i] = state->high[i];
    }
    while (count-- > 0) {
        cubehash_row next[4];

        UNROLL
        for (int i = 0; i < 4; i++)
            high[i] = CUBEHASH_ADD(high[i], low[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            next[i] = CUBEHASH_XOR(CUBEHASH_ROTL(low[i ^ 2], 7), high[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            high[i] = CUBEHASH_ADD(CUBEHASH_SWAP_PAIRS(high[i]), next[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            low[i] = CUBEHASH_XOR(CUBEHASH_ROTL(next[i ^ 1], 11), high[i]);
        UNROLL
        for (int i = 0; i < 4; i++)
            high[i] = CUBEHASH_SWAP_WORDS(high[i]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        state->low[i] = low[i];
        state->high[i] = high[i];
    }
}

INLINE_WIDE void cubehash_rows_absorb(cubehash_rows *state, cubehash_row first_half, cubehash_row second_half)
{
    state->low[0] = CUBEHASH_XOR(state->low[0], first_half);
    state->low[1] = CUBEHASH_XOR(state->low[1], second_half);
    cubehash_rows_rounds(state, CUBEHASH_ROUNDS);
}

#if X11_X86

/* The words at two addresses, four each. */
INLINE_AVX2 __m256i cubehash_load_pair(const void *first, const void *second)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(LOAD4(first)), LOAD4(second), 1);
}

FOR_AVX2 static void cubehash_hash_two(const uint8_t *const in[2], uint8_t *const out[2])
{
    const uint32_t *initial = x11_cubehash_initial;
    cubehash_rows state;

    UNROLL
    for (int i = 0; i < 4; i++) {
        state.low[i] = cubehash_load_pair(initial + 4 * i, initial + 4 * i);
        state.high[i] = cubehash_load_pair(initial + 16 + 4 * i, initial + 16 + 4 * i);
    }
    cubehash_rows_absorb(&state, cubehash_load_pair(in[0], in[1]),
                         cubehash_load_pair(in[0] + 16, in[1] + 16));
    cubehash_rows_absorb(&state, cubehash_load_pair(in[0] + 32, in[1] + 32),
                         cubehash_load_pair(in[0] + 48, in[1] + 48));
    cubehash_rows_absorb(&state, _mm256_setr_epi32(0x80, 0, 0, 0, 0x80, 0, 0, 0), _mm256_setzero_si256());
    state.high[3] = XOR8(state.high[3], _mm256_setr_epi32(0, 0, 0, 1, 0, 0, 0, 1));
    cubehash_rows_rounds(&state, CUBEHASH_END_ROUNDS);
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

#else

INLINE_WIDE cubehash_row cubehash_load(const void *words)
{
    return (cubehash_row)LOAD4(words);
}

void x11_cubehash_64_neon(const uint8_t message[64], uint8_t digest[64])
{
    const uint32_t *initial = x11_cubehash_initial;
    cubehash_rows state;

    UNROLL
    for (int i = 0; i < 4; i++) {
        state.low[i] = cubehash_load(initial + 4 * i);
        state.high[i] = cubehash_load(initial + 16 + 4 * i);
    }
    cubehash_rows_absorb(&state, cubehash_load(message), cubehash_load(message + 16));
    cubehash_rows_absorb(&state, cubehash_load(message + 32), cubehash_load(message + 48));
    cubehash_rows_absorb(&state, (cubehash_row)WORDS4(0x80, 0, 0, 0), (cubehash_row)ZERO4);
    state.high[3] = CUBEHASH_XOR(state.high[3], (cubehash_row)WORDS4(0, 0, 0, 1));
    cubehash_rows_rounds(&state, CUBEHASH_END_ROUNDS);
    UNROLL
    for (int i = 0; i < 4; i++)
        STORE4(digest + 16 * i, (bits128)state.low[i]);
}

#endif
#endif
