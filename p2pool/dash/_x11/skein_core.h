/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * UBI over Threefish-512: "The Skein Hash Function Family", version 1.3 (Ferguson, Lucks, Schneier, Whiting, Bellare,
 * Kohno, Callas, Walker, 2010), sections 3.3 and 3.4.
 */
#include "lanes.h"

/* Section 3.5.1: the second word of a tweak. */
#define SKEIN_FIRST (UINT64_C(1) << 62)
#define SKEIN_FINAL (UINT64_C(1) << 63)
#define SKEIN_CONFIGURATION (UINT64_C(4) << 56)
#define SKEIN_MESSAGE (UINT64_C(48) << 56)
#define SKEIN_OUTPUT (UINT64_C(63) << 56)

extern uint64_t x11_skein_initial[8];

#define MIX(a, b, count)                 \
    do {                                 \
        v[a] += v[b];                    \
        v[b] = ROTL(v[b], count) ^ v[a]; \
    } while (0)

/* Subkey s: words of key and tweak, shifted by s. */
#define ADD_KEY(s)                      \
    do {                                \
        for (int i = 0; i < 8; i++)     \
            v[i] += key[((s) + i) % 9]; \
        v[5] += tweak[(s) % 3];         \
        v[6] += tweak[((s) + 1) % 3];   \
        v[7] += (uint64_t)(s);          \
    } while (0)

/* Eight rounds with the rotations of table 4, and the subkeys before and between them. The permutation of words, which
 * has order four, is in the indices. */
#define EIGHT_ROUNDS(s)                                             \
    do {                                                            \
        ADD_KEY(s);                                                 \
        MIX(0, 1, 46); MIX(2, 3, 36); MIX(4, 5, 19); MIX(6, 7, 37); \
        MIX(2, 1, 33); MIX(4, 7, 27); MIX(6, 5, 14); MIX(0, 3, 42); \
        MIX(4, 1, 17); MIX(6, 3, 49); MIX(0, 5, 36); MIX(2, 7, 39); \
        MIX(6, 1, 44); MIX(0, 7, 9); MIX(2, 5, 54); MIX(4, 3, 56);  \
        ADD_KEY((s) + 1);                                           \
        MIX(0, 1, 39); MIX(2, 3, 30); MIX(4, 5, 34); MIX(6, 7, 24); \
        MIX(2, 1, 13); MIX(4, 7, 50); MIX(6, 5, 10); MIX(0, 3, 17); \
        MIX(4, 1, 25); MIX(6, 3, 29); MIX(0, 5, 39); MIX(2, 7, 43); \
        MIX(6, 1, 8); MIX(0, 7, 35); MIX(2, 5, 56); MIX(4, 3, 22);  \
    } while (0)

/* Chain one block into h. `position` counts the bytes up to the end of the block, `flags` is the tweak's upper half. */
CORE_CALLED void skein_block(word h[8], const word m[8], uint64_t position, uint64_t flags)
{
    const uint64_t tweak[3] = {position, flags, position ^ flags};
    word key[9], v[8];
    key[8] = WORD(UINT64_C(0x1bd11bdaa9fc1a22));
    for (int i = 0; i < 8; i++) {
        key[i] = h[i];
        key[8] ^= h[i];
        v[i] = m[i];
    }
    EIGHT_ROUNDS(0);
    EIGHT_ROUNDS(2);
    EIGHT_ROUNDS(4);
    EIGHT_ROUNDS(6);
    EIGHT_ROUNDS(8);
    EIGHT_ROUNDS(10);
    EIGHT_ROUNDS(12);
    EIGHT_ROUNDS(14);
    EIGHT_ROUNDS(16);
    ADD_KEY(18);
    for (int i = 0; i < 8; i++)
        h[i] = v[i] ^ m[i];
}

/* The output transform for 512 bits: one block that holds the counter zero. */
CORE void skein_output(word h[8])
{
    word counter[8];
    for (int i = 0; i < 8; i++)
        counter[i] = WORD(0);
    skein_block(h, counter, 8, SKEIN_OUTPUT | SKEIN_FIRST | SKEIN_FINAL);
}

/* Hash 64 bytes, whose words are in m; the digest is h. */
CORE void skein_64_bytes(word h[8], const word m[8])
{
    for (int i = 0; i < 8; i++)
        h[i] = WORD(x11_skein_initial[i]);
    skein_block(h, m, 64, SKEIN_MESSAGE | SKEIN_FIRST | SKEIN_FINAL);
    skein_output(h);
}

#undef MIX
#undef ADD_KEY
#undef EIGHT_ROUNDS
