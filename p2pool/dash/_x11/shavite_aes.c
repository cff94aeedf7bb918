/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHAvite-3 of 64 bytes with AES-NI, which has the very round of AES that SHAvite-3 uses. The keys of a round are eight
 * registers, each made from the eight before.
 */
#include "shavite.h"

#if X11_X86

#include <string.h>

#include "x86.h"

enum { BITS = 512 };

/* What is added to one register of new keys for the count of hashed bits, which is the same for all messages. */
INLINE_AES __m128i counter(int round, int group)
{
    if (round == 1 && group == 0)
        return _mm_setr_epi32(BITS, 0, 0, -1);
    if (round == 5 && group == 1)
        return _mm_setr_epi32(0, 0, 0, ~BITS);
    if (round == 9 && group == 7)
        return _mm_setr_epi32(0, 0, BITS, -1);
    if (round == 13 && group == 6)
        return _mm_setr_epi32(0, BITS, 0, -1);
    return _mm_setzero_si128();
}

/* Make the keys of an odd round from those before it. */
INLINE_AES void expand_with_aes(__m128i key[8], int round)
{
    __m128i mixed[8];

    UNROLL
    for (int i = 0; i < 8; i++)
        mixed[i] = _mm_aesenc_si128(_mm_shuffle_epi32(key[i], 0x39), counter(round, i));
    key[0] = XOR4(mixed[0], key[7]);
    UNROLL
    for (int i = 1; i < 8; i++)
        key[i] = XOR4(mixed[i], key[i - 1]);
}

/* Make the keys of an even round from those before it: each word from those 32 and 7 places before. */
INLINE_AES void expand_by_words(__m128i key[8])
{
    key[0] = XOR4(key[0], _mm_alignr_epi8(key[7], key[6], 4));
    key[1] = XOR4(key[1], _mm_alignr_epi8(key[0], key[7], 4));
    UNROLL
    for (int i = 2; i < 8; i++)
        key[i] = XOR4(key[i], _mm_alignr_epi8(key[i - 1], key[i - 2], 4));
}

/* Four rounds of AES, with a key before each. */
INLINE_AES __m128i rounds(__m128i words, const __m128i key[4])
{
    words = XOR4(words, key[0]);
    words = _mm_aesenc_si128(words, key[1]);
    words = _mm_aesenc_si128(words, key[2]);
    words = _mm_aesenc_si128(words, key[3]);
    return _mm_aesenc_si128(words, _mm_setzero_si128());
}

FOR_AES void x11_shavite_64_aes(const uint8_t message[64], uint8_t digest[64])
{
    const uint32_t *initial = x11_shavite_initial;
    uint8_t end[64] = {0x80};
    __m128i key[8], a = LOAD4(initial), b = LOAD4(initial + 4), c = LOAD4(initial + 8), d = LOAD4(initial + 12);

    shavite_end(end, BITS);
    UNROLL
    for (int i = 0; i < 4; i++) {
        key[i] = LOAD4(message + 16 * i);
        key[i + 4] = LOAD4(end + 16 * i);
    }
    UNROLL
    for (int round = 0; round < SHAVITE_ROUNDS; round++) {
        __m128i moved;

        if (round % 2 == 1)
            expand_with_aes(key, round);
        else if (round > 0)
            expand_by_words(key);
        a = XOR4(a, rounds(b, key));
        moved = XOR4(c, rounds(d, key + 4));
        c = b;
        b = a;
        a = d;
        d = moved;
    }
    STORE4(digest, XOR4(a, LOAD4(initial)));
    STORE4(digest + 16, XOR4(b, LOAD4(initial + 4)));
    STORE4(digest + 32, XOR4(c, LOAD4(initial + 8)));
    STORE4(digest + 48, XOR4(d, LOAD4(initial + 12)));
}

#endif
