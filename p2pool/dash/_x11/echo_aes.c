/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ECHO of 64 bytes by the instructions for AES. Words are in columns of four, as in the specification.
 */
#include "x11.h"

#if X11_X86 || X11_AARCH64

#include "vectors.h"

enum { ROUNDS = 10, BITS = 512 };

/* BIG.SubWords for one word: two rounds of AES, the first with a counter as its key. */
INLINE_AES bits128 sub_word(bits128 word, bits128 counter)
{
    return AES_TWO_ROUNDS(word, counter);
}

/* BIG.MixColumns for one column. */
INLINE_AES void mix_column(bits128 *a, bits128 *b, bits128 *c, bits128 *d)
{
    const bits128 ab = XOR4(*a, *b), bc = XOR4(*b, *c), cd = XOR4(*c, *d), da = XOR4(*d, *a);
    const bits128 all = XOR4(XOR4(ab, cd), EACH_BYTE(0x1b));

    *a = XOR4(XOR4(*a, all), DOUBLE4(ab));
    *b = XOR4(XOR4(*b, all), DOUBLE4(bc));
    *c = XOR4(XOR4(*c, all), DOUBLE4(cd));
    *d = XOR4(XOR4(*d, all), DOUBLE4(da));
}

/* A whole round. The counter of the first word is `counter`. */
INLINE_AES void whole_round(bits128 w[16], bits128 counter)
{
    bits128 x[16];

    UNROLL
    for (int i = 0; i < 16; i++)
        x[i] = sub_word(w[i], ADD4(counter, WORDS4(i, 0, 0, 0)));
    /* BIG.ShiftRows: row r moves by r columns. */
    UNROLL
    for (int i = 0; i < 16; i++)
        w[i] = x[(i + 4 * (i % 4)) % 16];
    UNROLL
    for (int i = 0; i < 16; i += 4)
        mix_column(&w[i], &w[i + 1], &w[i + 2], &w[i + 3]);
}

/* The last round: the digest needs the sum of the first and the third column only, and their words are mixed alike. */
INLINE_AES void last_round(bits128 sum[4], const bits128 w[16])
{
    UNROLL
    for (int row = 0; row < 4; row++) {
        int first = row + 4 * row, third = (first + 8) % 16;

        sum[row] = XOR4(sub_word(w[first], WORDS4(BITS + 16 * (ROUNDS - 1) + first, 0, 0, 0)),
                        sub_word(w[third], WORDS4(BITS + 16 * (ROUNDS - 1) + third, 0, 0, 0)));
    }
    mix_column(&sum[0], &sum[1], &sum[2], &sum[3]);
}

FOR_AES void x11_echo_64_aes(const uint8_t message[64], uint8_t digest[64])
{
    const bits128 size = WORDS4(512, 0, 0, 0);
    bits128 w[16], sum[4], counter = WORDS4(BITS, 0, 0, 0);

    UNROLL
    for (int i = 0; i < 8; i++)
        w[i] = size;
    UNROLL
    for (int i = 0; i < 4; i++)
        w[8 + i] = LOAD4(message + 16 * i);
    /* The end of the message, and in the last 18 bytes the size of the digest and the length in bits. */
    w[12] = WORDS4(0x80, 0, 0, 0);
    w[13] = ZERO4;
    w[14] = WORDS4(0, 0, 0, 512 << 16);
    w[15] = WORDS4(BITS, 0, 0, 0);
    for (int round = 0; round < ROUNDS - 1; round++) {
        whole_round(w, counter);
        counter = ADD4(counter, WORDS4(16, 0, 0, 0));
    }
    last_round(sum, w);
    UNROLL
    for (int i = 0; i < 4; i++)
        STORE4(digest + 16 * i, XOR4(XOR4(sum[i], size), LOAD4(message + 16 * i)));
}

#endif
