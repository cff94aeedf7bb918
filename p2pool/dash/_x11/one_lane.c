/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JH and Keccak of one message for processors that have AVX2 and BMI: rows of JH in one register; rotations into
 * another register and "and not" for Keccak. BLAKE, BMW and Skein gain nothing from these. For NEON, only JH: the other
 * instructions are in portable code.
 */
#define X11_ONE_LANE_WIDE
#include "lanes.h"

#if X11_X86 || X11_AARCH64

#include "vectors.h"

typedef uint64_t jh_row __attribute__((vector_size(16)));

ALWAYS_INLINE FOR_WIDE jh_row load_row(const void *bytes)
{
    return (jh_row)LOAD4(bytes);
}

#define JH_ROW jh_row
#define JH_LOAD load_row
#if defined(X11_FOR_AVX512)
#define JH_LOGIC(function, a, b, c) \
    (jh_row)_mm_ternarylogic_epi64((__m128i)(a), (__m128i)(b), (__m128i)(c), TRUTH_TABLE(function))
#else
#define JH_LOGIC LOGIC
#endif
#define JH_SHUFFLE(row, ...) (jh_row)SHUFFLE_BYTES((bits128)(row), BYTES16(__VA_ARGS__))

#include "jh_core.h"

FOR_WIDE void X11_WIDE(jh_64)(const uint8_t message[64], uint8_t digest[64])
{
    jh_row x[8][1], m[4][1];
    for (int i = 0; i < 4; i++)
        m[i][0] = load_row(message + 16 * i);
    jh_64_bytes(x, m);
    for (int i = 0; i < 4; i++)
        STORE4(digest + 16 * i, (bits128)x[4 + i][0]);
}

#if X11_X86

#include "keccak_core.h"

FOR_WIDE void X11_WIDE(keccak_64)(const uint8_t message[64], uint8_t digest[64])
{
    uint64_t a[25];
    load_words_le(a, message);
    keccak_64_bytes(a);
    store_words_le(digest, a);
}

#endif
#endif
