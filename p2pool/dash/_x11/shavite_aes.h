/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHAvite-3 of 64 bytes by the instructions for AES. The keys of a round are eight registers, each made from the eight
 * before.
 */
#ifndef X11_SHAVITE_AES_H
#define X11_SHAVITE_AES_H

#include "shavite.h"
#include "vectors.h"

enum { SHAVITE_BITS = 512 };

/* What is added to one register of new keys for the count of hashed bits, which is the same for all messages. */
INLINE_AES bits128 shavite_counter(int round, int group)
{
    if (round == 1 && group == 0)
        return WORDS4(SHAVITE_BITS, 0, 0, -1);
    if (round == 5 && group == 1)
        return WORDS4(0, 0, 0, ~SHAVITE_BITS);
    if (round == 9 && group == 7)
        return WORDS4(0, 0, SHAVITE_BITS, -1);
    if (round == 13 && group == 6)
        return WORDS4(0, SHAVITE_BITS, 0, -1);
    return ZERO4;
}

/* Make the keys of an odd round from those before it. */
INLINE_AES void shavite_expand_with_aes(bits128 key[8], int round)
{
    bits128 mixed[8];

    UNROLL
    for (int i = 0; i < 8; i++)
        mixed[i] = AES_ROUND(ROTATE_WORDS(key[i]), shavite_counter(round, i));
    key[0] = XOR4(mixed[0], key[7]);
    UNROLL
    for (int i = 1; i < 8; i++)
        key[i] = XOR4(mixed[i], key[i - 1]);
}

/* Make the keys of an even round from those before it: each word from those 32 and 7 places before. */
INLINE_AES void shavite_expand_by_words(bits128 key[8])
{
    key[0] = XOR4(key[0], NEXT_WORDS(key[7], key[6]));
    key[1] = XOR4(key[1], NEXT_WORDS(key[0], key[7]));
    UNROLL
    for (int i = 2; i < 8; i++)
        key[i] = XOR4(key[i], NEXT_WORDS(key[i - 1], key[i - 2]));
}

/* Four rounds of AES, with a key before each. */
INLINE_AES bits128 shavite_rounds(bits128 words, const bits128 key[4])
{
    return AES_FOUR_ROUNDS(words, key[0], key[1], key[2], key[3]);
}

/* The keys of the first round are the message, and what follows it: the bit that ends it, and in the last 18 bytes the
 * length in bits and the size of the digest, which are both 512. */
INLINE_AES void shavite_first_keys(bits128 key[8], const uint8_t message[64])
{
    UNROLL
    for (int i = 0; i < 4; i++)
        key[i] = LOAD4(message + 16 * i);
    key[4] = WORDS4(0x80, 0, 0, 0);
    key[5] = ZERO4;
    key[6] = WORDS4(0, 0, 0, SHAVITE_BITS << 16);
    key[7] = WORDS4(0, 0, 0, 512 << 16);
}

#endif
