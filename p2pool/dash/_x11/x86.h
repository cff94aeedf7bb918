/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the functions for instruction sets of x86-64 are written with. Only files that are compiled for x86-64 include
 * it.
 */
#ifndef X11_X86_H
#define X11_X86_H

#include <immintrin.h>
#include <stdint.h>

#include "targets.h"

/* Before a function: it may use these instructions, whatever the compiler's flags. */
#define FOR_AES __attribute__((target(X11_TARGET_AES)))
#define FOR_AVX2 __attribute__((target(X11_TARGET_AVX2)))

/* A function is only inlined into callers that may use its instructions. */
#define INLINE_AES static inline __attribute__((always_inline)) FOR_AES
#define INLINE_AVX2 static inline __attribute__((always_inline)) FOR_AVX2

/* Before a loop over registers, which cannot be indexed: it is written out. */
#define UNROLL _Pragma("GCC unroll 32")

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

/* SSE: registers of four words of 32 bits. */
#define XOR4(a, b) _mm_xor_si128(a, b)
#define LOAD4(address) _mm_loadu_si128((const void *)(address))
#define STORE4(address, words) _mm_storeu_si128((void *)(address), words)

#endif
