/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The operations of vectors.h by the instructions of x86-64, and those on registers of 256 bits.
 */
#ifndef X11_X86_H
#define X11_X86_H

#include <immintrin.h>
#include <stdint.h>

#include "targets.h"

/* Before a function: it may use these instructions, whatever the compiler's flags. */
#define FOR_AES __attribute__((target(X11_TARGET_AES)))
#define FOR_AVX2 __attribute__((target(X11_TARGET_AVX2)))
#define FOR_WIDE FOR_AVX2

/* A function is only inlined into callers that may use its instructions. */
#define INLINE_AES static inline __attribute__((always_inline)) FOR_AES
#define INLINE_AVX2 static inline __attribute__((always_inline)) FOR_AVX2
#define INLINE_WIDE INLINE_AVX2

/* AVX2: registers of eight words of 32 bits. */
#define XOR8(a, b) _mm256_xor_si256(a, b)
#define ADD8(a, b) _mm256_add_epi32(a, b)
#define ROTL8(a, count) x11_rotl8(a, count)
#define LOAD8(address) _mm256_loadu_si256((const void *)(address))
#define STORE8(address, words) _mm256_storeu_si256((void *)(address), words)

/* With the operators of the compiler, which knows processors that can rotate. */
typedef uint32_t words_8 __attribute__((vector_size(32)));
INLINE_AVX2 __m256i x11_rotl8(__m256i words, int count)
{
    return (__m256i)((words_8)words << count | (words_8)words >> (32 - count));
}

typedef __m128i bits128;

#define LOAD4(address) _mm_loadu_si128((const void *)(address))
#define STORE4(address, words) _mm_storeu_si128((void *)(address), words)

#define ZERO4 _mm_setzero_si128()
#define WORDS4(a, b, c, d) _mm_setr_epi32((int)(a), (int)(b), (int)(c), (int)(d))
#define BYTES16(...) _mm_setr_epi8(__VA_ARGS__)
#define EACH_BYTE(byte) _mm_set1_epi8((char)(byte))

#define XOR4(a, b) _mm_xor_si128(a, b)
#define ADD4(a, b) _mm_add_epi32(a, b)
#define NEXT_WORDS(high, low) _mm_alignr_epi8(high, low, 4)
#define ROTATE_WORDS(words) _mm_shuffle_epi32(words, 0x39)
#define SHUFFLE_BYTES(bytes, places) _mm_shuffle_epi8(bytes, places)
#define WITH_LAST_BYTE(bytes, byte) _mm_insert_epi8(bytes, byte, 15)
/* The shuffle gives 0x1b where the highest bit is clear. */
#define DOUBLE4(bytes) XOR4(_mm_add_epi8(bytes, bytes), _mm_shuffle_epi8(EACH_BYTE(0x1b), bytes))

#define LOW_BYTES(a, b) _mm_unpacklo_epi8(a, b)
#define HIGH_BYTES(a, b) _mm_unpackhi_epi8(a, b)
#define LOW_PAIRS(a, b) _mm_unpacklo_epi16(a, b)
#define HIGH_PAIRS(a, b) _mm_unpackhi_epi16(a, b)
#define LOW_WORDS(a, b) _mm_unpacklo_epi32(a, b)
#define HIGH_WORDS(a, b) _mm_unpackhi_epi32(a, b)
#define LOW_HALVES(a, b) _mm_unpacklo_epi64(a, b)
#define HIGH_HALVES(a, b) _mm_unpackhi_epi64(a, b)

#define AES_ROUND(state, key) _mm_aesenc_si128(state, key)
#define AES_LAST_ROUND(state, key) _mm_aesenclast_si128(state, key)
#define AES_TWO_ROUNDS(state, key) AES_ROUND(AES_ROUND(state, key), ZERO4)
#define AES_FOUR_ROUNDS(state, a, b, c, d) AES_TWO_ROUNDS(AES_ROUND(AES_ROUND(XOR4(state, a), b), c), d)

#endif
