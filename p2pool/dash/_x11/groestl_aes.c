/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Groestl-512 of 64 bytes with AES-NI.
 *
 * A register is a row of the state: 16 bytes. AESENCLAST substitutes the bytes, and moves them as ShiftRows of AES
 * does; a byte shuffle before it undoes that and shifts the row as Groestl does. MixBytes works on whole rows.
 */
#include "groestl.h"

#if X11_X86

#include <immintrin.h>

#define TARGET __attribute__((target("aes,ssse3,sse4.1")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* The shuffle before AESENCLAST that makes it shift a row left by n: AES moves byte r + 4 (c + r) of its input to byte
 * r + 4 c, both modulo 16 within the four columns c. */
#define FROM(n, k) ((k) % 4 + 4 * (((k) / 4 + 4 - (k) % 4) % 4) + (n)) % 16
#define SHUFFLE(n)                                                                              \
    {                                                                                           \
        FROM(n, 0), FROM(n, 1), FROM(n, 2), FROM(n, 3), FROM(n, 4), FROM(n, 5), FROM(n, 6),     \
            FROM(n, 7), FROM(n, 8), FROM(n, 9), FROM(n, 10), FROM(n, 11), FROM(n, 12),          \
            FROM(n, 13), FROM(n, 14), FROM(n, 15)                                               \
    }
static const uint8_t shuffles_p[8][16] = {
    SHUFFLE(0), SHUFFLE(1), SHUFFLE(2), SHUFFLE(3), SHUFFLE(4), SHUFFLE(5), SHUFFLE(6), SHUFFLE(11),
};
static const uint8_t shuffles_q[8][16] = {
    SHUFFLE(1), SHUFFLE(3), SHUFFLE(5), SHUFFLE(11), SHUFFLE(0), SHUFFLE(2), SHUFFLE(4), SHUFFLE(6),
};

INLINE __m128i load(const uint8_t bytes[16])
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

INLINE __m128i doubled(__m128i x)
{
    const __m128i carry = _mm_cmpgt_epi8(_mm_setzero_si128(), x);
    return _mm_xor_si128(_mm_add_epi8(x, x), _mm_and_si128(carry, _mm_set1_epi8(0x1b)));
}

/* Row i of the product is 4 (t[i+3] + t[i+6]) + 2 y[i+7] + y[i+4], where t[i] is a[i] + a[i+1] and y[i] is
 * t[i] + t[i+2] + a[i+6]: the factors 2, 2, 3, 4, 5, 3, 5, 7 as sums of powers of two. */
INLINE void mix_bytes(__m128i a[8])
{
    __m128i t[8], y[8];
    for (int i = 0; i < 8; i++)
        t[i] = _mm_xor_si128(a[i], a[(i + 1) % 8]);
    for (int i = 0; i < 8; i++)
        y[i] = _mm_xor_si128(_mm_xor_si128(t[i], t[(i + 2) % 8]), a[(i + 6) % 8]);
    for (int i = 0; i < 8; i++) {
        const __m128i fours = _mm_xor_si128(t[(i + 3) % 8], t[(i + 6) % 8]);
        const __m128i twos = _mm_xor_si128(doubled(fours), y[(i + 7) % 8]);
        a[i] = _mm_xor_si128(doubled(twos), y[(i + 4) % 8]);
    }
}

/* SubBytes and ShiftBytes, then a constant added to each byte, then MixBytes. */
INLINE void step(__m128i a[8], const uint8_t shuffles[8][16], __m128i added)
{
    for (int i = 0; i < 8; i++)
        a[i] = _mm_aesenclast_si128(_mm_shuffle_epi8(a[i], load(shuffles[i])), added);
    mix_bytes(a);
}

/* The constant of a round: sixteen times the column, plus the round. */
INLINE __m128i numbers(int round)
{
    const __m128i places = _mm_setr_epi8(0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, -0x80, -0x70, -0x60,
                                         -0x50, -0x40, -0x30, -0x20, -0x10);
    return _mm_xor_si128(places, _mm_set1_epi8((char)round));
}

INLINE void round_p(__m128i p[8], int round)
{
    p[0] = _mm_xor_si128(p[0], numbers(round));
    step(p, shuffles_p, _mm_setzero_si128());
}

/* A round of Q on the complement of its state. Q complements every byte at the start of a round; here the bytes are
 * complemented after MixBytes for the next one, by adding before MixBytes what it multiplies (by 3) to 0xff. */
INLINE void round_q(__m128i q[8], int round)
{
    q[7] = _mm_xor_si128(q[7], numbers(round));
    step(q, shuffles_q, _mm_set1_epi8(0x55));
}

/* The rows of 64 bytes of message and the padding of a block of 128. */
INLINE void load_rows(__m128i row[8], const uint8_t message[64])
{
    const __m128i pairs = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const __m128i zero = _mm_setzero_si128();
    __m128i a[4];
    for (int i = 0; i < 4; i++)
        a[i] = _mm_shuffle_epi8(load(message + 16 * i), pairs);
    const __m128i low01 = _mm_unpacklo_epi16(a[0], a[1]), low23 = _mm_unpacklo_epi16(a[2], a[3]);
    const __m128i high01 = _mm_unpackhi_epi16(a[0], a[1]), high23 = _mm_unpackhi_epi16(a[2], a[3]);
    const __m128i rows01 = _mm_unpacklo_epi32(low01, low23), rows23 = _mm_unpackhi_epi32(low01, low23);
    const __m128i rows45 = _mm_unpacklo_epi32(high01, high23), rows67 = _mm_unpackhi_epi32(high01, high23);
    row[0] = _mm_unpacklo_epi64(rows01, _mm_cvtsi32_si128(0x80)); /* the one bit after the message */
    row[1] = _mm_unpackhi_epi64(rows01, zero);
    row[2] = _mm_unpacklo_epi64(rows23, zero);
    row[3] = _mm_unpackhi_epi64(rows23, zero);
    row[4] = _mm_unpacklo_epi64(rows45, zero);
    row[5] = _mm_unpackhi_epi64(rows45, zero);
    row[6] = _mm_unpacklo_epi64(rows67, zero);
    row[7] = _mm_insert_epi8(_mm_unpackhi_epi64(rows67, zero), 1, 15); /* the number of blocks */
}

/* The last eight columns of a state. */
INLINE void store_columns(uint8_t digest[64], const __m128i row[8])
{
    const __m128i rows01 = _mm_unpackhi_epi8(row[0], row[1]), rows23 = _mm_unpackhi_epi8(row[2], row[3]);
    const __m128i rows45 = _mm_unpackhi_epi8(row[4], row[5]), rows67 = _mm_unpackhi_epi8(row[6], row[7]);
    const __m128i low03 = _mm_unpacklo_epi16(rows01, rows23), high03 = _mm_unpackhi_epi16(rows01, rows23);
    const __m128i low47 = _mm_unpacklo_epi16(rows45, rows67), high47 = _mm_unpackhi_epi16(rows45, rows67);
    __m128i *out = (__m128i *)(void *)digest;
    _mm_storeu_si128(out, _mm_unpacklo_epi32(low03, low47));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi32(low03, low47));
    _mm_storeu_si128(out + 2, _mm_unpacklo_epi32(high03, high47));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi32(high03, high47));
}

TARGET void x11_groestl_64_aes(const uint8_t message[64], uint8_t digest[64])
{
    __m128i p[8], q[8], h[8];
    /* The initial value has one byte that is not zero. */
    const __m128i initial = _mm_insert_epi8(_mm_setzero_si128(), 512 >> 8, 15);

    load_rows(q, message);
    for (int i = 0; i < 8; i++) {
        p[i] = i == 6 ? _mm_xor_si128(q[i], initial) : q[i];
        q[i] = _mm_xor_si128(q[i], _mm_set1_epi8(-1));
    }
    for (int round = 0; round < GROESTL_ROUNDS; round++) {
        round_p(p, round);
        round_q(q, round);
    }
    for (int i = 0; i < 8; i++) {
        h[i] = _mm_xor_si128(_mm_xor_si128(p[i], q[i]), _mm_set1_epi8(-1));
        if (i == 6)
            h[i] = _mm_xor_si128(h[i], initial);
        p[i] = h[i];
    }
    for (int round = 0; round < GROESTL_ROUNDS; round++)
        round_p(p, round);
    for (int i = 0; i < 8; i++)
        p[i] = _mm_xor_si128(p[i], h[i]);
    store_columns(digest, p);
}

#endif
