/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The compression function of BLAKE-512: "SHA-3 proposal BLAKE", version 1.3 (Aumasson, Henzen, Meier, Phan, 2010),
 * section 2.2. The salt is zero.
 */
#include "lanes.h"

/* Section 2.2.1: the initial value is that of SHA-512; the constants are the first digits of pi. */
static const uint64_t blake_initial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const uint64_t blake_pi[16] = {
    0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89,
    0x452821e638d01377, 0xbe5466cf34e90c6c, 0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917,
    0x9216d5d98979fb1b, 0xd1310ba698dfb5ac, 0x2ffd72dbd01adfb7, 0xb8e1afed6a267e96,
    0xba7c9045f12c7f99, 0x24a19947b3916cf7, 0x0801f2e2858efc16, 0x636920d871574e69,
};

/* Table 2.2: the order of message words in each round. */
#define SIGMA_0 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define SIGMA_1 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3
#define SIGMA_2 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4
#define SIGMA_3 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8
#define SIGMA_4 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13
#define SIGMA_5 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9
#define SIGMA_6 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11
#define SIGMA_7 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10
#define SIGMA_8 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5
#define SIGMA_9 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0

/* The function G on a column or diagonal of the state, with message words i and j. */
#define G(a, b, c, d, i, j)                  \
    do {                                     \
        v[a] += v[b] + (m[i] ^ blake_pi[j]); \
        v[d] = ROTR(v[d] ^ v[a], 32);        \
        v[c] += v[d];                        \
        v[b] = ROTR(v[b] ^ v[c], 25);        \
        v[a] += v[b] + (m[j] ^ blake_pi[i]); \
        v[d] = ROTR(v[d] ^ v[a], 16);        \
        v[c] += v[d];                        \
        v[b] = ROTR(v[b] ^ v[c], 11);        \
    } while (0)

#define ROUND_OF(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15) \
    do {                                                                               \
        G(0, 4, 8, 12, s0, s1);                                                        \
        G(1, 5, 9, 13, s2, s3);                                                        \
        G(2, 6, 10, 14, s4, s5);                                                       \
        G(3, 7, 11, 15, s6, s7);                                                       \
        G(0, 5, 10, 15, s8, s9);                                                       \
        G(1, 6, 11, 12, s10, s11);                                                     \
        G(2, 7, 8, 13, s12, s13);                                                      \
        G(3, 4, 9, 14, s14, s15);                                                      \
    } while (0)
#define ROUND(...) ROUND_OF(__VA_ARGS__)

/* Compress a block into the chaining value; `bits` counts the message's bits up to the end of this block. */
CORE void blake_compress(word h[8], const word m[16], uint64_t bits)
{
    word v[16];
    for (int i = 0; i < 8; i++)
        v[i] = h[i];
    for (int i = 0; i < 8; i++)
        v[8 + i] = WORD(blake_pi[i] ^ (i == 4 || i == 5 ? bits : 0));
    ROUND(SIGMA_0);
    ROUND(SIGMA_1);
    ROUND(SIGMA_2);
    ROUND(SIGMA_3);
    ROUND(SIGMA_4);
    ROUND(SIGMA_5);
    ROUND(SIGMA_6);
    ROUND(SIGMA_7);
    ROUND(SIGMA_8);
    ROUND(SIGMA_9);
    ROUND(SIGMA_0);
    ROUND(SIGMA_1);
    ROUND(SIGMA_2);
    ROUND(SIGMA_3);
    ROUND(SIGMA_4);
    ROUND(SIGMA_5);
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

/* Hash a header, whose ten words are in m[0..9]; the other six, the padding, are set here. */
CORE void blake_header(word h[8], word m[16])
{
    const uint64_t padding[6] = {(uint64_t)1 << 63, 0, 0, 1, 0, 80 * 8};
    for (int i = 0; i < 6; i++)
        m[10 + i] = WORD(padding[i]);
    for (int i = 0; i < 8; i++)
        h[i] = WORD(blake_initial[i]);
    blake_compress(h, m, 80 * 8);
}

#undef G
#undef ROUND
#undef ROUND_OF
