/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Groestl-512 of 64 bytes with AES-NI and AVX2: half a register is a row of P, the other half the same row of Q.
 */
#include "groestl.h"

#if X11_X86

#include "groestl_aes.h"

#define GROESTL_DOUBLE_8(x) XOR8(_mm256_add_epi8(x, x), _mm256_shuffle_epi8(_mm256_set1_epi8(0x1b), x))

INLINE_AVX2 __m256i groestl_join(__m128i low, __m128i high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

INLINE_AVX2 __m128i groestl_low_half(__m256i both)
{
    return _mm256_castsi256_si128(both);
}

INLINE_AVX2 __m128i groestl_high_half(__m256i both)
{
    return _mm256_extracti128_si256(both, 1);
}

/* A round of P, and of Q on the complement of its state: see groestl_aes.h. */
INLINE_AVX2 void groestl_round_pq(__m256i pq[8], int round)
{
    const __m128i added_p = _mm_set1_epi8(GROESTL_UNDO), added_q = _mm_set1_epi8(0x55 ^ GROESTL_UNDO);
    const __m128i numbers = groestl_numbers(round);

    pq[0] = XOR8(pq[0], groestl_join(numbers, _mm_setzero_si128()));
    pq[7] = XOR8(pq[7], groestl_join(_mm_setzero_si128(), numbers));
    UNROLL
    for (int i = 0; i < 8; i++) {
        const __m256i shuffled = _mm256_shuffle_epi8(pq[i], LOAD8(groestl_shuffles[i]));

        pq[i] = groestl_join(_mm_aesenclast_si128(groestl_low_half(shuffled), added_p),
                             _mm_aesenclast_si128(groestl_high_half(shuffled), added_q));
    }
    GROESTL_MIX_BYTES(__m256i, XOR8, GROESTL_DOUBLE_8, pq);
}

/* A round of P of two messages. */
INLINE_AVX2 void groestl_round_pp(__m256i pp[8], int round)
{
    const __m128i added = _mm_set1_epi8(GROESTL_UNDO);

    pp[0] = XOR8(pp[0], _mm256_broadcastsi128_si256(groestl_numbers(round)));
    UNROLL
    for (int i = 0; i < 8; i++) {
        const __m256i shuffle = _mm256_broadcastsi128_si256(LOAD4(groestl_shuffles[i][0]));
        const __m256i shuffled = _mm256_shuffle_epi8(pp[i], shuffle);

        pp[i] = groestl_join(_mm_aesenclast_si128(groestl_low_half(shuffled), added),
                             _mm_aesenclast_si128(groestl_high_half(shuffled), added));
    }
    GROESTL_MIX_BYTES(__m256i, XOR8, GROESTL_DOUBLE_8, pp);
}

/* The state after the only block of a message. */
INLINE_AVX2 void groestl_compress(__m128i state[8], const uint8_t message[64])
{
    __m128i rows[8];
    __m256i pq[8];

    groestl_load_rows(rows, message);
    UNROLL
    for (int i = 0; i < 8; i++)
        pq[i] = groestl_join(i == 6 ? XOR4(rows[i], groestl_initial()) : rows[i], XOR4(rows[i], _mm_set1_epi8(-1)));
    for (int round = 0; round < GROESTL_ROUNDS; round++)
        groestl_round_pq(pq, round);
    UNROLL
    for (int i = 0; i < 8; i++)
        state[i] = XOR4(XOR4(groestl_low_half(pq[i]), groestl_high_half(pq[i])), _mm_set1_epi8(-1));
    state[6] = XOR4(state[6], groestl_initial());
}

FOR_AVX2 void X11_WIDE(groestl_64)(const uint8_t message[64], uint8_t digest[64])
{
    __m128i state[8];

    groestl_compress(state, message);
    groestl_finish(digest, state);
}

FOR_AVX2 static void groestl_hash_two(const uint8_t *const in[2], uint8_t *const out[2])
{
    __m128i first[8], second[8];
    __m256i pp[8];

    groestl_compress(first, in[0]);
    groestl_compress(second, in[1]);
    UNROLL
    for (int i = 0; i < 8; i++)
        pp[i] = groestl_join(first[i], second[i]);
    for (int round = 0; round < GROESTL_ROUNDS; round++)
        groestl_round_pp(pp, round);
    UNROLL
    for (int i = 0; i < 8; i++) {
        first[i] = XOR4(first[i], groestl_low_half(pp[i]));
        second[i] = XOR4(second[i], groestl_high_half(pp[i]));
    }
    groestl_store_columns(out[0], first);
    groestl_store_columns(out[1], second);
}

FOR_AVX2 void X11_FOUR(groestl_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    groestl_hash_two(in, out);
    groestl_hash_two(in + 2, out + 2);
}

#endif
