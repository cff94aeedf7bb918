/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Luffa of 64 bytes with AVX2: lane j of register i is word i of permutation Q_j. Three lanes are unused.
 */
#include "luffa.h"

#if X11_X86

#include "bytes.h"
#include "luffa_avx2.h"

/* Multiply by x in the ring of the message injection. */
INLINE_AVX2 void luffa_times_x(__m256i out[8], const __m256i in[8])
{
    const __m256i top = in[7];

    out[7] = in[6];
    out[6] = in[5];
    out[5] = in[4];
    out[4] = XOR8(in[3], top);
    out[3] = XOR8(in[2], top);
    out[2] = in[1];
    out[1] = XOR8(in[0], top);
    out[0] = top;
}

/* The message injection without the message. With H for the words, H+ and H- for those of the lanes to both sides, and
 * S for the sum of all lanes, the three layers of the specification come to P + x(xP + H+ + H-), where P = H + xS. */
INLINE_AVX2 void luffa_mix_lanes(__m256i v[8])
{
    const __m256i next = _mm256_setr_epi32(1, 2, 3, 4, 0, 5, 6, 7);
    const __m256i previous = _mm256_setr_epi32(4, 0, 1, 2, 3, 5, 6, 7);
    const __m256i second_next = _mm256_setr_epi32(2, 3, 4, 0, 1, 5, 6, 7);
    const __m256i second_previous = _mm256_setr_epi32(3, 4, 0, 1, 2, 5, 6, 7);
    __m256i sides[8], product[8];

    UNROLL
    for (int i = 0; i < 8; i++) {
        __m256i far = XOR8(_mm256_permutevar8x32_epi32(v[i], second_next),
                          _mm256_permutevar8x32_epi32(v[i], second_previous));

        sides[i] = XOR8(_mm256_permutevar8x32_epi32(v[i], next), _mm256_permutevar8x32_epi32(v[i], previous));
        product[i] = XOR8(XOR8(v[i], far), sides[i]);
    }
    luffa_times_x(product, product);
    UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = XOR8(v[i], product[i]);
    luffa_times_x(product, v);
    UNROLL
    for (int i = 0; i < 8; i++)
        product[i] = XOR8(product[i], sides[i]);
    luffa_times_x(product, product);
    UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = XOR8(v[i], product[i]);
}

/* Multiply `power` by x, and put it into those lanes of the message from `first` on. */
INLINE_AVX2 void luffa_raise_lanes(__m256i message[8], __m256i power[8], int first)
{
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first - 1));

    luffa_times_x(power, power);
    UNROLL
    for (int i = 0; i < 8; i++)
        message[i] = _mm256_blendv_epi8(message[i], power[i], mask);
}

/* Add a block of the message, multiplied by x^j in lane j. */
INLINE_AVX2 void luffa_add_message(__m256i v[8], const uint8_t block[LUFFA_BLOCK])
{
    __m256i message[8], power[8];

    UNROLL
    for (int i = 0; i < 8; i++)
        message[i] = power[i] = _mm256_set1_epi32((int)load32_be(block + 4 * i));
    UNROLL
    for (int i = 1; i < LUFFA_WIDTH; i++)
        luffa_raise_lanes(message, power, i);
    UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = XOR8(v[i], message[i]);
}

/* Add the block after the last whole one, which begins with the bit that ends the message: x^j moves it to word j. */
INLINE_AVX2 void luffa_add_padding(__m256i v[8])
{
    const int bit = (int)0x80000000;

    v[0] = XOR8(v[0], _mm256_setr_epi32(bit, 0, 0, 0, 0, 0, 0, 0));
    v[1] = XOR8(v[1], _mm256_setr_epi32(0, bit, 0, 0, 0, 0, 0, 0));
    v[2] = XOR8(v[2], _mm256_setr_epi32(0, 0, bit, 0, 0, 0, 0, 0));
    v[3] = XOR8(v[3], _mm256_setr_epi32(0, 0, 0, bit, 0, 0, 0, 0));
    v[4] = XOR8(v[4], _mm256_setr_epi32(0, 0, 0, 0, bit, 0, 0, 0));
}

INLINE_AVX2 void luffa_permute(__m256i v[8])
{
    const __m256i tweak = _mm256_setr_epi32(0, 1, 2, 3, 4, 0, 0, 0);
    const __m256i opposite = _mm256_setr_epi32(32, 31, 30, 29, 28, 32, 32, 32);

    UNROLL
    for (int i = 4; i < 8; i++)
        v[i] = _mm256_or_si256(_mm256_sllv_epi32(v[i], tweak), _mm256_srlv_epi32(v[i], opposite));
    for (int r = 0; r < LUFFA_STEPS; r++)
        luffa_step(v, x11_luffa_constants[r]);
}

/* Store the sum of the lanes as half a digest. */
INLINE_AVX2 void luffa_store_sum(uint8_t half[32], const __m256i v[8])
{
    UNROLL
    for (int i = 0; i < 8; i++) {
        uint32_t lanes[8];

        STORE8(lanes, v[i]);
        store32_be(half + 4 * i, lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3] ^ lanes[4]);
    }
}

FOR_AVX2 void X11_WIDE(luffa_64)(const uint8_t message[64], uint8_t digest[64])
{
    __m256i v[8];

    UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = LOAD8(x11_luffa_initial[i]);
    for (int block = 0; block < 5; block++) {
        luffa_mix_lanes(v);
        if (block < 2)
            luffa_add_message(v, message + LUFFA_BLOCK * block);
        else if (block == 2)
            luffa_add_padding(v);
        luffa_permute(v);
        if (block > 2)
            luffa_store_sum(digest + 32 * (block - 3), v);
    }
}

#endif
