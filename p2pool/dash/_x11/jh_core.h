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
 * A row is two words, or one JH_ROW of 128 bits if the file that includes this core defines that: with JH_LOAD to load
 * one, JH_SHUFFLE to arrange its bytes, whose arguments are the 16 indices, and JH_LOGIC for LOGIC of lanes.h.
 */
#include "lanes.h"

extern uint64_t x11_jh_constants[42][2][2]; /* of the even and of the odd rows, two words each */
extern uint64_t x11_jh_initial[8][2];

#ifdef JH_ROW
#define HALVES 1
#define ROW(words, half) JH_LOAD(words)
#else
#define HALVES 2
#define JH_ROW word
#define JH_LOGIC LOGIC
#define ROW(words, half) WORD((words)[half])
#endif

/* Both S-boxes on four rows, most significant bit first; the bits of c choose between them. */
#define SUBSTITUTE(a, b, c, d, k)                      \
    do {                                               \
        const JH_ROW k_ = k;                           \
        a = JH_LOGIC(XOR_AND_NOT, a, k_, c);           \
        const JH_ROW t_ = JH_LOGIC(XOR_AND, k_, a, b); \
        a = JH_LOGIC(XOR_AND_NOT, a, c, d);            \
        d = JH_LOGIC(NOT_XOR_AND_NOT, d, c, b);        \
        b = JH_LOGIC(XOR_AND, b, a, c);                \
        c = JH_LOGIC(XOR_AND_NOT, c, a, d);            \
        a = JH_LOGIC(XOR_OR, a, b, d);                 \
        d = JH_LOGIC(XOR_AND, d, b, c);                \
        b = JH_LOGIC(XOR_AND, b, t_, a);               \
        c ^= t_;                                       \
    } while (0)

/* Substitution, and the linear transform of each pair of elements. */
CORE void jh_mix(JH_ROW x[8][HALVES], int round)
{
    for (int i = 0; i < HALVES; i++) {
        SUBSTITUTE(x[0][i], x[2][i], x[4][i], x[6][i], ROW(x11_jh_constants[round][0], i));
        SUBSTITUTE(x[1][i], x[3][i], x[5][i], x[7][i], ROW(x11_jh_constants[round][1], i));
        x[1][i] ^= x[2][i];
        x[3][i] ^= x[4][i];
        x[5][i] = JH_LOGIC(XOR3, x[5][i], x[0][i], x[6][i]);
        x[7][i] ^= x[0][i];
        x[0][i] ^= x[3][i];
        x[2][i] ^= x[5][i];
        x[4][i] = JH_LOGIC(XOR3, x[4][i], x[1][i], x[7][i]);
        x[6][i] ^= x[1][i];
    }
}

/* Exchange neighbouring groups of `count` bits; `mask` has the lower of each two groups. */
#define EXCHANGE(count, mask)                                                                                       \
    do {                                                                                                            \
        for (int i = 1; i < 8; i += 2)                                                                              \
            for (int j = 0; j < HALVES; j++)                                                                        \
                x[i][j] = JH_LOGIC(CHOOSE, ((JH_ROW){0} + UINT64_C(mask)), x[i][j] >> (count), x[i][j] << (count)); \
    } while (0)

/* Exchange groups of whole bytes. */
#ifdef JH_SHUFFLE
#define ARRANGE(...)                                    \
    do {                                                \
        for (int i = 1; i < 8; i += 2)                  \
            x[i][0] = JH_SHUFFLE(x[i][0], __VA_ARGS__); \
    } while (0)
#define EXCHANGE_8 ARRANGE(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#define EXCHANGE_16 ARRANGE(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define EXCHANGE_32 ARRANGE(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define EXCHANGE_64 ARRANGE(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#else
#define EXCHANGE_8 EXCHANGE(8, 0x00ff00ff00ff00ff)
#define EXCHANGE_16 EXCHANGE(16, 0x0000ffff0000ffff)
#define EXCHANGE_32 EXCHANGE(32, 0x00000000ffffffff)
#define EXCHANGE_64                       \
    do {                                  \
        for (int i = 1; i < 8; i += 2) {  \
            const JH_ROW first = x[i][0]; \
            x[i][0] = x[i][1];            \
            x[i][1] = first;              \
        }                                 \
    } while (0)
#endif

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
        EXCHANGE_8;
        jh_mix(x, round + 4);
        EXCHANGE_16;
        jh_mix(x, round + 5);
        EXCHANGE_32;
        jh_mix(x, round + 6);
        EXCHANGE_64;
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

/* The block after 64 bytes: a one bit, zeros, and the length in bits. */
static const uint64_t jh_padding[4][2] = {{0x80, 0}, {0, 0}, {0, 0}, {0, (uint64_t)(64 * 8 >> 8) << 48}};

/* Hash 64 bytes, which are the rows of `block`. The digest is in the last four rows of x. */
CORE void jh_64_bytes(JH_ROW x[8][HALVES], JH_ROW block[4][HALVES])
{
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < HALVES; j++)
            x[i][j] = ROW(x11_jh_initial[i], j);
    jh_compress(x, block);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < HALVES; j++)
            block[i][j] = ROW(jh_padding[i], j);
    jh_compress(x, block);
}

#undef SUBSTITUTE
#undef EXCHANGE
