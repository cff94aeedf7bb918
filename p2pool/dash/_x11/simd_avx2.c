/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SIMD of 64 bytes with AVX2.
 */
#include "simd.h"

#if X11_X86

#include "simd_avx2.h"

/* All steps of a block. `state` is the chaining value with the message added. */
FOR_AVX2 static void simd_compress(__m256i chain[4], __m256i state[4], uint32_t words[SIMD_STEPS][8])
{
    __m256i s[4] = {state[0], state[1], state[2], state[3]};

    UNROLL
    for (int i = 0; i < SIMD_STEPS; i++)
        simd_step(s, LOAD8(words[i]), i);
    UNROLL
    for (int i = 0; i < SIMD_LAST_STEPS; i++)
        simd_step(s, chain[i], SIMD_STEPS + i);
    UNROLL
    for (int i = 0; i < 4; i++)
        chain[i] = s[i];
}

FOR_AVX2 void X11_WIDE(simd_64)(const uint8_t message[64], uint8_t digest[64])
{
    uint32_t words[SIMD_STEPS][8];
    __m256i chain[4], state[4];

    simd_expand_64(words, message);
    UNROLL
    for (int i = 0; i < 4; i++)
        chain[i] = state[i] = LOAD8(x11_simd_initial[i]);
    state[0] = XOR8(state[0], LOAD8(message));
    state[1] = XOR8(state[1], LOAD8(message + 32));
    simd_compress(chain, state, words);
    /* The last block contains the length in bits. */
    UNROLL
    for (int i = 0; i < 4; i++)
        state[i] = chain[i];
    state[0] = XOR8(state[0], _mm256_setr_epi32(512, 0, 0, 0, 0, 0, 0, 0));
    simd_compress(chain, state, x11_simd_length_64);
    STORE8(digest, chain[0]);
    STORE8(digest + 32, chain[1]);
}

#endif
