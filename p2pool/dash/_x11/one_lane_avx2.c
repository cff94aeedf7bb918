/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JH and Keccak of one message for processors that have AVX2 and BMI: rows of JH in one register; rotations into
 * another register and "and not" for Keccak. BLAKE, BMW and Skein gain nothing from these.
 */
#define X11_ONE_LANE_AVX2
#include "lanes.h"

#if X11_X86

#include <immintrin.h>

typedef uint64_t bits128 __attribute__((vector_size(16)));

ALWAYS_INLINE TARGET_AVX2 bits128 load_bits128(const void *bytes)
{
    return (bits128)_mm_loadu_si128(bytes);
}

#define JH_ROW bits128
#define JH_LOAD load_bits128
#if defined(X11_FOR_AVX512)
#define JH_LOGIC(function, a, b, c) \
    (bits128)_mm_ternarylogic_epi64((__m128i)(a), (__m128i)(b), (__m128i)(c), TRUTH_TABLE(function))
#else
#define JH_LOGIC LOGIC
#endif
#define JH_SHUFFLE(row, ...) (bits128)_mm_shuffle_epi8((__m128i)(row), _mm_setr_epi8(__VA_ARGS__))

#include "jh_core.h"
#include "keccak_core.h"

TARGET_AVX2 void X11_WIDE(jh_64)(const uint8_t message[64], uint8_t digest[64])
{
    bits128 x[8][1], m[4][1];
    for (int i = 0; i < 4; i++)
        m[i][0] = load_bits128(message + 16 * i);
    jh_64_bytes(x, m);
    for (int i = 0; i < 4; i++)
        _mm_storeu_si128((__m128i *)(void *)(digest + 16 * i), (__m128i)x[4 + i][0]);
}

TARGET_AVX2 void X11_WIDE(keccak_64)(const uint8_t message[64], uint8_t digest[64])
{
    uint64_t a[25];
    load_words_le(a, message);
    keccak_64_bytes(a);
    store_words_le(digest, a);
}

#endif
