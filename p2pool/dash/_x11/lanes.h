/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the *_core.h files are written in, so that one text hashes one message or four.
 *
 * `word` is 64 bits of one message, or a vector of GCC's with 64 bits of each of four; C's operators work on both. A
 * file that includes a core defines X11_FOUR_LANES before for the latter, or X11_ONE_LANE_WIDE to let the compiler use
 * the instructions of AVX2 and BMI on one message. CORE goes before each function of a core: it names these
 * instruction sets, because a function is only inlined into callers that may use its instructions. CORE_CALLED goes
 * before large functions that are called more than once for a message: copies would not fit the cache of instructions.
 */
#ifndef X11_LANES_H
#define X11_LANES_H

#include "bytes.h"
#include "targets.h"
#include "x11.h"

/* A number as a word: in every lane the same. */
#define WORD(x) ((word){0} + (x))

#define ROTL(x, count) ((x) << (count) | (x) >> (64 - (count)))
#define ROTR(x, count) ((x) >> (count) | (x) << (64 - (count)))

#if defined(__GNUC__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NEVER_INLINE static __attribute__((noinline))
#else
#define ALWAYS_INLINE static inline
#define NEVER_INLINE static
#endif

/* A logical function of three words, bit by bit. It is a macro: given the numbers below, it makes the truth table that
 * AVX-512 wants to compute any such function with one instruction. */
#define TRUTH_TABLE(function) ((function(0xf0, 0xcc, 0xaa)) & 0xff)
#define XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define XOR_AND(a, b, c) ((a) ^ ((b) & (c)))
#define XOR_AND_NOT(a, b, c) ((a) ^ ((b) & ~(c)))
#define NOT_XOR_AND_NOT(a, b, c) (~(a) ^ ((b) & ~(c)))
#define XOR_OR(a, b, c) ((a) ^ ((b) | (c)))
#define CHOOSE(a, b, c) (((a) & (b)) | (~(a) & (c)))

#if X11_X86
#define TARGET_AVX2 __attribute__((target(X11_TARGET_AVX2)))
#endif

#if X11_X86 && defined(X11_FOUR_LANES)
typedef uint64_t lanes __attribute__((vector_size(32)));
#define word lanes
#define CORE ALWAYS_INLINE TARGET_AVX2
#define CORE_CALLED NEVER_INLINE TARGET_AVX2
#if defined(X11_FOR_AVX512)
#include <immintrin.h>
#define LOGIC(function, a, b, c) \
    (lanes)_mm256_ternarylogic_epi64((__m256i)(a), (__m256i)(b), (__m256i)(c), TRUTH_TABLE(function))
#endif
#elif X11_X86 && defined(X11_ONE_LANE_WIDE)
#define word uint64_t
#define CORE ALWAYS_INLINE TARGET_AVX2
#define CORE_CALLED NEVER_INLINE TARGET_AVX2
#else
#define word uint64_t
#define CORE ALWAYS_INLINE
#define CORE_CALLED NEVER_INLINE
#endif

#ifndef LOGIC
#define LOGIC(function, a, b, c) (function(a, b, c))
#endif

#endif
