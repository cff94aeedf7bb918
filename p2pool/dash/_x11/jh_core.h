/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The compression function of JH, bit-sliced: "The Hash Function JH" (Hongjun Wu, round 3 of SHA-3, 2011), sections 4
 * and 5.
 *
 * The state's 1,024 bits are eight rows of 128. Bit i of the rows 0, 2, 4, 6 is one element of four bits, and bit i of
 * the rows 1, 3, 5, 7 is another: a step on whole rows works on all elements at once. Instead of moving elements as
 * the definition does, each round exchanges bits of the odd rows so that the right elements meet in the next;
 * jh.c puts the round constants into the same order.
 *
 * A file that includes this core may define `row` as a type of 128 bits and JH_SWAP_HALVES for it; a row is two words
 * otherwise.
 */
#include "lanes.h"

extern uint64_t x11_jh_constants[42][2][2]; /* of the even and of the odd rows, two words each */
extern uint64_t x11_jh_initial[8][2];

#ifdef JH_ROW
#define HALVES 1
#define CONSTANT(round, odd, half) load_row(x11_jh_constants[round][odd])
#else
#define HALVES 2
#define JH_ROW word
#define CONSTANT(round, odd, half) WORD(x11_jh_constants[round][odd][half])
#endif

/* Both S-boxes on four rows, most significant bit first; the bits of c choose between them. */
#define SUBSTITUTE(a, b, c, d, k)       \
    do {                                \
        const JH_ROW k_ = k;            \
        (d) = ~(d);                     \
        (a) ^= k_ & ~(c);               \
        const JH_ROW t_ = k_ ^ ((a) & (b)); \
        (a) ^= (c) & (d);               \
        (d) ^= ~(b) & (c);              \
        (b) ^= (a) & (c);               \
        (c) ^= (a) & ~(d);              \
        (a) ^= (b) | (d);               \
        (d) ^= (b) & (c);               \
        (b) ^= t_ & (a);                \
        (c) ^= t_;                      \
    } while (0)

/* Substitution, and the linear transform of each pair of elements. */
CORE void jh_mix(JH_ROW x[8][HALVES], int round)
{
    for (int i = 0; i < HALVES; i++) {
        SUBSTITUTE(x[0][i], x[2][i], x[4][i], x[6][i], CONSTANT(round, 0, i));
        SUBSTITUTE(x[1][i], x[3][i], x[5][i], x[7][i], CONSTANT(round, 1, i));
        x[1][i] ^= x[2][i];
        x[3][i] ^= x[4][i];
        x[5][i] ^= x[0][i] ^ x[6][i];
        x[7][i] ^= x[0][i];
        x[0][i] ^= x[3][i];
        x[2][i] ^= x[5][i];
        x[4][i] ^= x[1][i] ^ x[7][i];
        x[6][i] ^= x[1][i];
    }
}

/* Exchange neighbouring groups of `count` bits; `mask` has the lower of each two groups. */
#define EXCHANGE(count, mask)                                                                       \
    do {                                                                                            \
        for (int i = 1; i < 8; i += 2)                                                              \
            for (int j = 0; j < HALVES; j++)                                                        \
                x[i][j] = (x[i][j] & UINT64_C(mask)) << (count) | (x[i][j] >> (count) & UINT64_C(mask)); \
    } while (0)

CORE void jh_swap_halves(JH_ROW x[8][HALVES])
{
    for (int i = 1; i < 8; i += 2) {
#if defined(JH_SWAP_HALVES)
        x[i][0] = JH_SWAP_HALVES(x[i][0]);
#else
        const JH_ROW first = x[i][0];
        x[i][0] = x[i][1];
        x[i][1] = first;
#endif
    }
}

/* The bijective function E8: 42 rounds, in which the distance of exchanged bits repeats every seven. */
CORE void jh_permute(JH_ROW x[8][HALVES])
{
    for (int round = 0; round < 42; round += 7) {
        jh_mix(x, round);
        EXCHANGE(1, 0x5555555555555555);
        jh_mix(x, round + 1);
        EXCHANGE(2, 0x3333333333333333);
        jh_mix(x, round + 2);
        EXCHANGE(4, 0x0f0f0f0f0f0f0f0f);
        jh_mix(x, round + 3);
        EXCHANGE(8, 0x00ff00ff00ff00ff);
        jh_mix(x, round + 4);
        EXCHANGE(16, 0x0000ffff0000ffff);
        jh_mix(x, round + 5);
        EXCHANGE(32, 0x00000000ffffffff);
        jh_mix(x, round + 6);
        jh_swap_halves(x);
    }
}

/* The compression function F8 with a block of four rows. */
CORE void jh_compress(JH_ROW x[8][HALVES], JH_ROW block[4][HALVES])
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < HALVES; j++)
            x[i][j] ^= block[i][j];
    jh_permute(x);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < HALVES; j++)
            x[4 + i][j] ^= block[i][j];
}

#undef SUBSTITUTE
#undef EXCHANGE
#undef CONSTANT
