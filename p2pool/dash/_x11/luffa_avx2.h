/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The permutations of Luffa with AVX2: eight of them side by side, word i of each in register i.
 */
#ifndef X11_LUFFA_AVX2_H
#define X11_LUFFA_AVX2_H

#include "luffa.h"
#include "vectors.h"

/* The S-box on 32 columns of each lane at once: the sequence of instructions of the specification. */
INLINE_AVX2 void luffa_sub_crumb(__m256i *w0, __m256i *w1, __m256i *w2, __m256i *w3)
{
    const __m256i ones = _mm256_set1_epi32(-1);
    __m256i a = *w0, b = *w1, c = *w2, d = *w3, t = a;

    a = _mm256_or_si256(a, b);
    c = XOR8(c, d);
    b = XOR8(b, ones);
    a = XOR8(a, d);
    d = _mm256_and_si256(d, t);
    b = XOR8(b, d);
    d = XOR8(d, c);
    c = _mm256_and_si256(c, a);
    a = XOR8(a, ones);
    c = XOR8(c, b);
    b = _mm256_or_si256(b, d);
    *w0 = XOR8(t, b);
    d = XOR8(d, c);
    *w2 = _mm256_and_si256(c, b);
    *w1 = XOR8(b, a);
    *w3 = d;
}

INLINE_AVX2 void luffa_mix_word(__m256i *upper, __m256i *lower)
{
    __m256i u = *upper, v = XOR8(*lower, u);

    u = XOR8(ROTL8(u, 2), v);
    v = XOR8(ROTL8(v, 14), u);
    *upper = XOR8(ROTL8(u, 10), v);
    *lower = ROTL8(v, 1);
}

/* A step, given what it adds to words 0 and 4. */
INLINE_AVX2 void luffa_step(__m256i v[8], uint32_t (*constants)[8])
{
    luffa_sub_crumb(&v[0], &v[1], &v[2], &v[3]);
    luffa_sub_crumb(&v[5], &v[6], &v[7], &v[4]);
    UNROLL
    for (int i = 0; i < 4; i++)
        luffa_mix_word(&v[i], &v[i + 4]);
    v[0] = XOR8(v[0], LOAD8(constants[0]));
    v[4] = XOR8(v[4], LOAD8(constants[1]));
}

#endif
