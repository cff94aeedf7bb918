/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ECHO of 64 bytes with AES-NI. Words are in columns of four, as in the specification.
 */
#include "x11.h"

#if X11_X86

#include "x86.h"

enum { ROUNDS = 10, BITS = 512 };

/* BIG.SubWords for one word: two rounds of AES, the first with a counter as its key. */
INLINE_AES __m128i sub_word(__m128i word, __m128i counter)
{
    return _mm_aesenc_si128(_mm_aesenc_si128(word, counter), _mm_setzero_si128());
}

/* Multiply each byte by x in the field of AES and add 0x1b: the shuffle gives 0x1b where the highest bit is clear. */
INLINE_AES __m128i times_x_plus_1b(__m128i bytes)
{
    return XOR4(_mm_add_epi8(bytes, bytes), _mm_shuffle_epi8(_mm_set1_epi8(0x1b), bytes));
}

/* BIG.MixColumns for one column. */
INLINE_AES void mix_column(__m128i *a, __m128i *b, __m128i *c, __m128i *d)
{
    const __m128i ab = XOR4(*a, *b), bc = XOR4(*b, *c), cd = XOR4(*c, *d), da = XOR4(*d, *a);
    const __m128i all = XOR4(XOR4(ab, cd), _mm_set1_epi8(0x1b));

    *a = XOR4(XOR4(*a, all), times_x_plus_1b(ab));
    *b = XOR4(XOR4(*b, all), times_x_plus_1b(bc));
    *c = XOR4(XOR4(*c, all), times_x_plus_1b(cd));
    *d = XOR4(XOR4(*d, all), times_x_plus_1b(da));
}

/* A whole round. The counter of the first word is `counter`. */
INLINE_AES void whole_round(__m128i w[16], __m128i counter)
{
    __m128i x[16];

    UNROLL
    for (int i = 0; i < 16; i++)
        x[i] = sub_word(w[i], _mm_add_epi32(counter, _mm_setr_epi32(i, 0, 0, 0)));
    /* BIG.ShiftRows: row r moves by r columns. */
    UNROLL
    for (int i = 0; i < 16; i++)
        w[i] = x[(i + 4 * (i % 4)) % 16];
    UNROLL
    for (int i = 0; i < 16; i += 4)
        mix_column(&w[i], &w[i + 1], &w[i + 2], &w[i + 3]);
}

/* The last round: the digest needs the sum of the first and the third column only, and their words are mixed alike. */
INLINE_AES void last_round(__m128i sum[4], const __m128i w[16])
{
    UNROLL
    for (int row = 0; row < 4; row++) {
        int first = row + 4 * row, third = (first + 8) % 16;

        sum[row] = XOR4(sub_word(w[first], _mm_setr_epi32(BITS + 16 * (ROUNDS - 1) + first, 0, 0, 0)),
                        sub_word(w[third], _mm_setr_epi32(BITS + 16 * (ROUNDS - 1) + third, 0, 0, 0)));
    }
    mix_column(&sum[0], &sum[1], &sum[2], &sum[3]);
}

FOR_AES void x11_echo_64_aes(const uint8_t message[64], uint8_t digest[64])
{
    const __m128i size = _mm_setr_epi32(512, 0, 0, 0);
    __m128i w[16], sum[4], counter = _mm_setr_epi32(BITS, 0, 0, 0);

    UNROLL
    for (int i = 0; i < 8; i++)
        w[i] = size;
    UNROLL
    for (int i = 0; i < 4; i++)
        w[8 + i] = LOAD4(message + 16 * i);
    /* The end of the message, and in the last 18 bytes the size of the digest and the length in bits. */
    w[12] = _mm_setr_epi32(0x80, 0, 0, 0);
    w[13] = _mm_setzero_si128();
    w[14] = _mm_setr_epi32(0, 0, 0, 512 << 16);
    w[15] = _mm_setr_epi32(BITS, 0, 0, 0);
    for (int round = 0; round < ROUNDS - 1; round++) {
        whole_round(w, counter);
        counter = _mm_add_epi32(counter, _mm_setr_epi32(16, 0, 0, 0));
    }
    last_round(sum, w);
    UNROLL
    for (int i = 0; i < 4; i++)
        STORE4(digest + 16 * i, XOR4(XOR4(sum[i], size), LOAD4(message + 16 * i)));
}

#endif
