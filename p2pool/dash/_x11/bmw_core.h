/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The compression function of Blue Midnight Wish 512: "Cryptographic Hash Function BLUE MIDNIGHT WISH" (Gligoroski,
 * Klima, Knapskog, El-Hadedy, Amundsen, Mjolsnes; submission to round 2 of SHA-3, 2009), tables 2.2 to 2.5.
 */
#include "lanes.h"

#define S0(x) ((x) >> 1 ^ (x) << 3 ^ ROTL(x, 4) ^ ROTL(x, 37))
#define S1(x) ((x) >> 1 ^ (x) << 2 ^ ROTL(x, 13) ^ ROTL(x, 43))
#define S2(x) ((x) >> 2 ^ (x) << 1 ^ ROTL(x, 19) ^ ROTL(x, 53))
#define S3(x) ((x) >> 2 ^ (x) << 2 ^ ROTL(x, 28) ^ ROTL(x, 59))
#define S4(x) ((x) >> 1 ^ (x))
#define S5(x) ((x) >> 2 ^ (x))

/* Rotate left by a count from 1 to 16 that depends on the message word's index. */
#define ROTATED(j) ROTL(m[(j) % 16], (j) % 16 + 1)

/* The part of word j + 16 of the quadruple pipe that comes from the message. */
#define ADDEND(j)                                                                                              \
    ((ROTATED(j) + ROTATED((j) + 3) - ROTATED((j) + 10) + (uint64_t)((j) + 16) * UINT64_C(0x0555555555555555)) \
     ^ h[((j) + 7) % 16])

#define EXPAND_1(j)                                                                       \
    (S1(q[(j)]) + S2(q[(j) + 1]) + S3(q[(j) + 2]) + S0(q[(j) + 3]) + S1(q[(j) + 4])       \
     + S2(q[(j) + 5]) + S3(q[(j) + 6]) + S0(q[(j) + 7]) + S1(q[(j) + 8]) + S2(q[(j) + 9]) \
     + S3(q[(j) + 10]) + S0(q[(j) + 11]) + S1(q[(j) + 12]) + S2(q[(j) + 13])              \
     + S3(q[(j) + 14]) + S0(q[(j) + 15]) + ADDEND(j))

/* The words with even distance enter unchanged; `even` is their sum over q[j], q[j + 2] ... q[j + 12]. */
#define EXPAND_2(j, even)                                                     \
    (even + ROTL(q[(j) + 1], 5) + ROTL(q[(j) + 3], 11) + ROTL(q[(j) + 5], 27) \
     + ROTL(q[(j) + 7], 32) + ROTL(q[(j) + 9], 37) + ROTL(q[(j) + 11], 43)    \
     + ROTL(q[(j) + 13], 53) + S4(q[(j) + 14]) + S5(q[(j) + 15]) + ADDEND(j))

/* f0: the first half of the quadruple pipe, from the message and the double pipe h. */
CORE void bmw_mix(word q[32], const word m[16], const word h[16])
{
    word x[16];
    for (int i = 0; i < 16; i++)
        x[i] = m[i] ^ h[i];
    q[0] = S0(x[5] - x[7] + x[10] + x[13] + x[14]) + h[1];
    q[1] = S1(x[6] - x[8] + x[11] + x[14] - x[15]) + h[2];
    q[2] = S2(x[0] + x[7] + x[9] - x[12] + x[15]) + h[3];
    q[3] = S3(x[0] - x[1] + x[8] - x[10] + x[13]) + h[4];
    q[4] = S4(x[1] + x[2] + x[9] - x[11] - x[14]) + h[5];
    q[5] = S0(x[3] - x[2] + x[10] - x[12] + x[15]) + h[6];
    q[6] = S1(x[4] - x[0] - x[3] - x[11] + x[13]) + h[7];
    q[7] = S2(x[1] - x[4] - x[5] - x[12] - x[14]) + h[8];
    q[8] = S3(x[2] - x[5] - x[6] + x[13] - x[15]) + h[9];
    q[9] = S4(x[0] - x[3] + x[6] - x[7] + x[14]) + h[10];
    q[10] = S0(x[8] - x[1] - x[4] - x[7] + x[15]) + h[11];
    q[11] = S1(x[8] - x[0] - x[2] - x[5] + x[9]) + h[12];
    q[12] = S2(x[1] + x[3] - x[6] - x[9] + x[10]) + h[13];
    q[13] = S3(x[2] + x[4] + x[7] + x[10] + x[11]) + h[14];
    q[14] = S4(x[3] - x[5] + x[8] - x[11] - x[12]) + h[15];
    q[15] = S0(x[12] - x[4] - x[6] - x[9] + x[13]) + h[0];
}

/* f1: the second half of the quadruple pipe. */
CORE void bmw_expand(word q[32], const word m[16], const word h[16])
{
    q[16] = EXPAND_1(0);
    q[17] = EXPAND_1(1);
    word a = q[2] + q[4] + q[6] + q[8] + q[10] + q[12] + q[14];
    word b = q[3] + q[5] + q[7] + q[9] + q[11] + q[13] + q[15];
#define PAIR(j)                         \
    q[(j) + 16] = EXPAND_2(j, a);       \
    a += q[(j) + 14] - q[j];            \
    q[(j) + 17] = EXPAND_2((j) + 1, b); \
    b += q[(j) + 15] - q[(j) + 1]
    PAIR(2);
    PAIR(4);
    PAIR(6);
    PAIR(8);
    PAIR(10);
    PAIR(12);
    PAIR(14);
#undef PAIR
}

/* f2: fold the quadruple pipe and the message into the new double pipe. */
CORE void bmw_fold(word h[16], const word q[32], const word m[16])
{
    const word xl = q[16] ^ q[17] ^ q[18] ^ q[19] ^ q[20] ^ q[21] ^ q[22] ^ q[23];
    const word xh = xl ^ q[24] ^ q[25] ^ q[26] ^ q[27] ^ q[28] ^ q[29] ^ q[30] ^ q[31];
    h[0] = (xh << 5 ^ q[16] >> 5 ^ m[0]) + (xl ^ q[24] ^ q[0]);
    h[1] = (xh >> 7 ^ q[17] << 8 ^ m[1]) + (xl ^ q[25] ^ q[1]);
    h[2] = (xh >> 5 ^ q[18] << 5 ^ m[2]) + (xl ^ q[26] ^ q[2]);
    h[3] = (xh >> 1 ^ q[19] << 5 ^ m[3]) + (xl ^ q[27] ^ q[3]);
    h[4] = (xh >> 3 ^ q[20] ^ m[4]) + (xl ^ q[28] ^ q[4]);
    h[5] = (xh << 6 ^ q[21] >> 6 ^ m[5]) + (xl ^ q[29] ^ q[5]);
    h[6] = (xh >> 4 ^ q[22] << 6 ^ m[6]) + (xl ^ q[30] ^ q[6]);
    h[7] = (xh >> 11 ^ q[23] << 2 ^ m[7]) + (xl ^ q[31] ^ q[7]);
    h[8] = ROTL(h[4], 9) + (xh ^ q[24] ^ m[8]) + (xl << 8 ^ q[23] ^ q[8]);
    h[9] = ROTL(h[5], 10) + (xh ^ q[25] ^ m[9]) + (xl >> 6 ^ q[16] ^ q[9]);
    h[10] = ROTL(h[6], 11) + (xh ^ q[26] ^ m[10]) + (xl << 6 ^ q[17] ^ q[10]);
    h[11] = ROTL(h[7], 12) + (xh ^ q[27] ^ m[11]) + (xl << 4 ^ q[18] ^ q[11]);
    h[12] = ROTL(h[0], 13) + (xh ^ q[28] ^ m[12]) + (xl >> 3 ^ q[19] ^ q[12]);
    h[13] = ROTL(h[1], 14) + (xh ^ q[29] ^ m[13]) + (xl >> 4 ^ q[20] ^ q[13]);
    h[14] = ROTL(h[2], 15) + (xh ^ q[30] ^ m[14]) + (xl >> 7 ^ q[21] ^ q[14]);
    h[15] = ROTL(h[3], 16) + (xh ^ q[31] ^ m[15]) + (xl >> 2 ^ q[22] ^ q[15]);
}

CORE_CALLED void bmw_compress(word h[16], const word m[16])
{
    word q[32];
    bmw_mix(q, m, h);
    bmw_expand(q, m, h);
    bmw_fold(h, q, m);
}

/* The initial double pipe holds the bytes 0x80 to 0xff in order. */
CORE void bmw_initialise(word h[16])
{
    for (unsigned i = 0; i < 16; i++)
        h[i] = WORD(UINT64_C(0x8081828384858687) + i * UINT64_C(0x0808080808080808));
}

/* The last compression takes a constant for the double pipe, and what was computed as its message. */
CORE void bmw_finish(word h[16])
{
    word constant[16];
    for (unsigned i = 0; i < 16; i++)
        constant[i] = WORD(UINT64_C(0xaaaaaaaaaaaaaaa0) + i);
    bmw_compress(constant, h);
    for (int i = 0; i < 16; i++)
        h[i] = constant[i];
}

/* Hash 64 bytes, whose words are in m[0..7]; the padding is set here. The digest is h[8..15]. */
CORE void bmw_64_bytes(word h[16], word m[16])
{
    m[8] = WORD(0x80);
    for (int i = 9; i < 15; i++)
        m[i] = WORD(0);
    m[15] = WORD(64 * 8);
    bmw_initialise(h);
    bmw_compress(h, m);
    bmw_finish(h);
}

#undef S0
#undef S1
#undef S2
#undef S3
#undef S4
#undef S5
#undef ROTATED
#undef ADDEND
#undef EXPAND_1
#undef EXPAND_2
