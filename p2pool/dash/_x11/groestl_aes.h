/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Groestl-512 of 64 bytes by the instructions for AES.
 *
 * A register is a row of the state: 16 bytes. The last round of AES substitutes the bytes, and moves them as ShiftRows
 * does; a byte shuffle before it undoes that and shifts the row as Groestl does. MixBytes works on whole rows.
 */
#ifndef X11_GROESTL_AES_H
#define X11_GROESTL_AES_H

#include "groestl.h"
#include "vectors.h"

/* The shuffle before the last round of AES that makes it shift a row left by n: AES moves byte r + 4 (c + r) of its
 * input to byte r + 4 c, both modulo 16 within the four columns c. */
#define GROESTL_FROM(n, k) ((k) % 4 + 4 * (((k) / 4 + 4 - (k) % 4) % 4) + (n)) % 16
#define GROESTL_SHUFFLE(n)                                                                                             \
    {                                                                                                                  \
        GROESTL_FROM(n, 0), GROESTL_FROM(n, 1), GROESTL_FROM(n, 2), GROESTL_FROM(n, 3), GROESTL_FROM(n, 4),            \
            GROESTL_FROM(n, 5), GROESTL_FROM(n, 6), GROESTL_FROM(n, 7), GROESTL_FROM(n, 8), GROESTL_FROM(n, 9),        \
            GROESTL_FROM(n, 10), GROESTL_FROM(n, 11), GROESTL_FROM(n, 12), GROESTL_FROM(n, 13), GROESTL_FROM(n, 14),   \
            GROESTL_FROM(n, 15)                                                                                        \
    }

/* [row][0] in P, [row][1] in Q. */
static const uint8_t groestl_shuffles[8][2][16] = {
    {GROESTL_SHUFFLE(0), GROESTL_SHUFFLE(1)}, {GROESTL_SHUFFLE(1), GROESTL_SHUFFLE(3)},
    {GROESTL_SHUFFLE(2), GROESTL_SHUFFLE(5)}, {GROESTL_SHUFFLE(3), GROESTL_SHUFFLE(11)},
    {GROESTL_SHUFFLE(4), GROESTL_SHUFFLE(0)}, {GROESTL_SHUFFLE(5), GROESTL_SHUFFLE(2)},
    {GROESTL_SHUFFLE(6), GROESTL_SHUFFLE(4)}, {GROESTL_SHUFFLE(11), GROESTL_SHUFFLE(6)},
};

/* MixBytes of eight registers of a type. Row i of the product is 4 (t[i+3] + t[i+6]) + 2 y[i+7] + y[i+4], where t[i] is
 * a[i] + a[i+1] and y[i] is t[i] + t[i+2] + a[i+6]: the factors 2, 2, 3, 4, 5, 3, 5, 7 as sums of powers of two.
 *
 * DOUBLE returns twice its argument plus 0x1b, which leaves each byte of the result off by 0x2d. Add GROESTL_UNDO to
 * each byte before: the sum of the factors is 3, and 3 times 0x1b is 0x2d. */
#define GROESTL_UNDO 0x1b
#define GROESTL_MIX_BYTES(type, XOR, DOUBLE, a)                                                                        \
    do {                                                                                                               \
        type t[8], y[8];                                                                                               \
        UNROLL                                                                                                         \
        for (int i = 0; i < 8; i++)                                                                                    \
            t[i] = XOR((a)[i], (a)[(i + 1) % 8]);                                                                      \
        UNROLL                                                                                                         \
        for (int i = 0; i < 8; i++)                                                                                    \
            y[i] = XOR(XOR(t[i], t[(i + 2) % 8]), (a)[(i + 6) % 8]);                                                   \
        UNROLL                                                                                                         \
        for (int i = 0; i < 8; i++) {                                                                                  \
            const type fours = XOR(t[(i + 3) % 8], t[(i + 6) % 8]);                                                    \
            const type twos = XOR(DOUBLE(fours), y[(i + 7) % 8]);                                                      \
            (a)[i] = XOR(DOUBLE(twos), y[(i + 4) % 8]);                                                                \
        }                                                                                                              \
    } while (0)

/* The constant of a round: sixteen times the column, plus the round. */
INLINE_AES bits128 groestl_numbers(int round)
{
    const bits128 places = BYTES16(0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, -0x80, -0x70, -0x60, -0x50, -0x40,
                                   -0x30, -0x20, -0x10);
    return XOR4(places, EACH_BYTE(round));
}

/* A round of P. The constant goes to a row before its bytes are substituted. */
INLINE_AES void groestl_round_p(bits128 p[8], int round)
{
    p[0] = XOR4(p[0], groestl_numbers(round));
    UNROLL
    for (int i = 0; i < 8; i++)
        p[i] = AES_LAST_ROUND(SHUFFLE_BYTES(p[i], LOAD4(groestl_shuffles[i][0])), EACH_BYTE(GROESTL_UNDO));
    GROESTL_MIX_BYTES(bits128, XOR4, DOUBLE4, p);
}

/* A round of Q on the complement of its state. Q complements every byte at the start of a round; here the bytes are
 * complemented after MixBytes for the next one, by adding before MixBytes what it multiplies (by 3) to 0xff. */
INLINE_AES void groestl_round_q(bits128 q[8], int round)
{
    q[7] = XOR4(q[7], groestl_numbers(round));
    UNROLL
    for (int i = 0; i < 8; i++)
        q[i] = AES_LAST_ROUND(SHUFFLE_BYTES(q[i], LOAD4(groestl_shuffles[i][1])), EACH_BYTE(0x55 ^ GROESTL_UNDO));
    GROESTL_MIX_BYTES(bits128, XOR4, DOUBLE4, q);
}

/* The initial value, of which one byte is not zero: it is in row 6. */
INLINE_AES bits128 groestl_initial(void)
{
    return WITH_LAST_BYTE(ZERO4, 512 >> 8);
}

/* The rows of 64 bytes of message and the padding of a block of 128. */
INLINE_AES void groestl_load_rows(bits128 row[8], const uint8_t message[64])
{
    const bits128 pairs = BYTES16(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const bits128 zero = ZERO4;
    bits128 a[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        a[i] = SHUFFLE_BYTES(LOAD4(message + 16 * i), pairs);
    const bits128 low01 = LOW_PAIRS(a[0], a[1]), low23 = LOW_PAIRS(a[2], a[3]);
    const bits128 high01 = HIGH_PAIRS(a[0], a[1]), high23 = HIGH_PAIRS(a[2], a[3]);
    const bits128 rows01 = LOW_WORDS(low01, low23), rows23 = HIGH_WORDS(low01, low23);
    const bits128 rows45 = LOW_WORDS(high01, high23), rows67 = HIGH_WORDS(high01, high23);
    row[0] = LOW_HALVES(rows01, WORDS4(0x80, 0, 0, 0)); /* the one bit after the message */
    row[1] = HIGH_HALVES(rows01, zero);
    row[2] = LOW_HALVES(rows23, zero);
    row[3] = HIGH_HALVES(rows23, zero);
    row[4] = LOW_HALVES(rows45, zero);
    row[5] = HIGH_HALVES(rows45, zero);
    row[6] = LOW_HALVES(rows67, zero);
    row[7] = WITH_LAST_BYTE(HIGH_HALVES(rows67, zero), 1); /* the number of blocks */
}

/* The last eight columns of a state. */
INLINE_AES void groestl_store_columns(uint8_t digest[64], const bits128 row[8])
{
    const bits128 rows01 = HIGH_BYTES(row[0], row[1]), rows23 = HIGH_BYTES(row[2], row[3]);
    const bits128 rows45 = HIGH_BYTES(row[4], row[5]), rows67 = HIGH_BYTES(row[6], row[7]);
    const bits128 low03 = LOW_PAIRS(rows01, rows23), high03 = HIGH_PAIRS(rows01, rows23);
    const bits128 low47 = LOW_PAIRS(rows45, rows67), high47 = HIGH_PAIRS(rows45, rows67);
    STORE4(digest, LOW_WORDS(low03, low47));
    STORE4(digest + 16, HIGH_WORDS(low03, low47));
    STORE4(digest + 32, LOW_WORDS(high03, high47));
    STORE4(digest + 48, HIGH_WORDS(high03, high47));
}

/* The output transformation: P once more, its input added, and the last columns of the sum. */
INLINE_AES void groestl_finish(uint8_t digest[64], const bits128 state[8])
{
    bits128 p[8];

    UNROLL
    for (int i = 0; i < 8; i++)
        p[i] = state[i];
    for (int round = 0; round < GROESTL_ROUNDS; round++)
        groestl_round_p(p, round);
    UNROLL
    for (int i = 0; i < 8; i++)
        p[i] = XOR4(p[i], state[i]);
    groestl_store_columns(digest, p);
}

#endif
