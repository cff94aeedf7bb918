/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Luffa of four messages of 64 bytes with AVX2. Half a register holds a word of one permutation for all messages.
 */
#include "luffa.h"

#if X11_X86

#include <string.h>

#include "luffa_avx2.h"

#define ROTL4(a, count) _mm_or_si128(_mm_slli_epi32(a, count), _mm_srli_epi32(a, 32 - (count)))

/* [j / 2][i][j % 2]: word i of permutation Q_j. The last half is unused. */
typedef __m128i luffa_x4_state[3][8][2];

/* Multiply by x in the ring of the message injection. */
INLINE_AVX2 void luffa_x4_times_x(__m128i v[8])
{
    const __m128i top = v[7];

    UNROLL
    for (int i = 7; i > 0; i--)
        v[i] = v[i - 1];
    v[0] = top;
    v[1] = XOR4(v[1], top);
    v[3] = XOR4(v[3], top);
    v[4] = XOR4(v[4], top);
}

/* Transpose four rows of four words. */
INLINE_AVX2 void luffa_x4_transpose(__m128i rows[4])
{
    const __m128i a = _mm_unpacklo_epi32(rows[0], rows[1]), b = _mm_unpackhi_epi32(rows[0], rows[1]);
    const __m128i c = _mm_unpacklo_epi32(rows[2], rows[3]), d = _mm_unpackhi_epi32(rows[2], rows[3]);

    rows[0] = _mm_unpacklo_epi64(a, c);
    rows[1] = _mm_unpackhi_epi64(a, c);
    rows[2] = _mm_unpacklo_epi64(b, d);
    rows[3] = _mm_unpackhi_epi64(b, d);
}

/* Reverse the bytes of each word. */
INLINE_AVX2 __m128i luffa_x4_swap_bytes(__m128i words)
{
    return _mm_shuffle_epi8(words, _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
}

/* Load the eight words of a block of each message. */
INLINE_AVX2 void luffa_x4_load_block(__m128i words[8], const uint8_t *const in[4], int at)
{
    UNROLL
    for (int m = 0; m < 4; m++) {
        words[m] = luffa_x4_swap_bytes(LOAD4(in[m] + at));
        words[4 + m] = luffa_x4_swap_bytes(LOAD4(in[m] + at + 16));
    }
    luffa_x4_transpose(words);
    luffa_x4_transpose(words + 4);
}

INLINE_AVX2 void luffa_x4_sum_lanes(__m128i sum[8], luffa_x4_state v)
{
    UNROLL
    for (int i = 0; i < 8; i++)
        sum[i] = XOR4(XOR4(XOR4(v[0][i][0], v[0][i][1]), XOR4(v[1][i][0], v[1][i][1])), v[2][i][0]);
}

/* The message injection, as luffa_avx2.c has it, and the rotations that begin each permutation. */
FOR_AVX2 static void luffa_x4_inject(luffa_x4_state v, __m128i message[8])
{
    luffa_x4_state old;
    __m128i sum[8];

    memcpy(old, v, sizeof old);
    luffa_x4_sum_lanes(sum, old);
    luffa_x4_times_x(sum);
    UNROLL
    for (int j = 0; j < LUFFA_WIDTH; j++) {
        const int next = (j + 1) % LUFFA_WIDTH, previous = (j + LUFFA_WIDTH - 1) % LUFFA_WIDTH;
        __m128i middle[8], product[8];

        UNROLL
        for (int i = 0; i < 8; i++)
            middle[i] = product[i] = XOR4(old[j / 2][i][j % 2], sum[i]);
        luffa_x4_times_x(product);
        UNROLL
        for (int i = 0; i < 8; i++)
            product[i] = XOR4(product[i], XOR4(old[next / 2][i][next % 2], old[previous / 2][i][previous % 2]));
        luffa_x4_times_x(product);
        UNROLL
        for (int i = 0; i < 8; i++) {
            const __m128i word = XOR4(XOR4(middle[i], product[i]), message[i]);

            v[j / 2][i][j % 2] = j > 0 && i >= 4 ? ROTL4(word, j) : word;
        }
        luffa_x4_times_x(message);
    }
}

INLINE_AVX2 void luffa_x4_permute(luffa_x4_state v)
{
    /* Three independent chains: the processor works on one while another waits. */
    for (int r = 0; r < LUFFA_STEPS; r++) {
        UNROLL
        for (int k = 0; k < 3; k++) {
            __m256i words[8];

            UNROLL
            for (int i = 0; i < 8; i++)
                words[i] = LOAD8(v[k][i]);
            luffa_step(words, x11_luffa_constants_x4[k][r]);
            UNROLL
            for (int i = 0; i < 8; i++)
                STORE8(v[k][i], words[i]);
        }
    }
}

/* Store the sum of the permutations as half a digest of each message. */
INLINE_AVX2 void luffa_x4_store_sum(uint8_t *const out[4], int at, luffa_x4_state v)
{
    __m128i sum[8];

    luffa_x4_sum_lanes(sum, v);
    luffa_x4_transpose(sum);
    luffa_x4_transpose(sum + 4);
    UNROLL
    for (int m = 0; m < 4; m++) {
        STORE4(out[m] + at, luffa_x4_swap_bytes(sum[m]));
        STORE4(out[m] + at + 16, luffa_x4_swap_bytes(sum[4 + m]));
    }
}

FOR_AVX2 void X11_FOUR(luffa_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    _Alignas(32) luffa_x4_state v;

    for (int j = 0; j < LUFFA_WIDTH + 1; j++)
        for (int i = 0; i < 8; i++)
            v[j / 2][i][j % 2] = _mm_set1_epi32((int)x11_luffa_initial[i][j]);
    for (int block = 0; block < 5; block++) {
        __m128i message[8];

        memset(message, 0, sizeof message);
        if (block < 2)
            luffa_x4_load_block(message, in, LUFFA_BLOCK * block);
        else if (block == 2)
            message[0] = _mm_set1_epi32((int)0x80000000);
        luffa_x4_inject(v, message);
        luffa_x4_permute(v);
        if (block > 2)
            luffa_x4_store_sum(out, 32 * (block - 3), v);
    }
}

#endif
