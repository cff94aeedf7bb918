/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SIMD of four messages of 64 bytes with AVX2. The steps of two messages alternate, because each step waits for the
 * one before.
 */
#include "simd.h"

#if X11_X86

#include "simd_avx2.h"

/* All steps of a block of two messages; the states are the chaining values with the messages added. */
FOR_AVX2 static void simd_compress_two(__m256i chains[2][4], __m256i states[2][4], uint32_t (*const words[2])[8])
{
    __m256i s[4], t[4];

    UNROLL
    for (int i = 0; i < 4; i++) {
        s[i] = states[0][i];
        t[i] = states[1][i];
    }
    UNROLL
    for (int i = 0; i < SIMD_STEPS; i++) {
        simd_step(s, LOAD8(words[0][i]), i);
        simd_step(t, LOAD8(words[1][i]), i);
    }
    UNROLL
    for (int i = 0; i < SIMD_LAST_STEPS; i++) {
        simd_step(s, chains[0][i], SIMD_STEPS + i);
        simd_step(t, chains[1][i], SIMD_STEPS + i);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        chains[0][i] = s[i];
        chains[1][i] = t[i];
    }
}

FOR_AVX2 static void simd_hash_two(const uint8_t *const in[2], uint8_t *const out[2])
{
    uint32_t first_words[SIMD_STEPS][8], second_words[SIMD_STEPS][8];
    __m256i chains[2][4], states[2][4];

    simd_expand_64(first_words, in[0]);
    simd_expand_64(second_words, in[1]);
    for (int m = 0; m < 2; m++) {
        UNROLL
        for (int i = 0; i < 4; i++)
            chains[m][i] = states[m][i] = LOAD8(x11_simd_initial[i]);
        states[m][0] = XOR8(states[m][0], LOAD8(in[m]));
        states[m][1] = XOR8(states[m][1], LOAD8(in[m] + 32));
    }
    simd_compress_two(chains, states, (uint32_t(*const[2])[8]){first_words, second_words});
    /* The last block contains the length in bits. */
    for (int m = 0; m < 2; m++) {
        UNROLL
        for (int i = 0; i < 4; i++)
            states[m][i] = chains[m][i];
        states[m][0] = XOR8(states[m][0], _mm256_setr_epi32(512, 0, 0, 0, 0, 0, 0, 0));
    }
    simd_compress_two(chains, states, (uint32_t(*const[2])[8]){x11_simd_length_64, x11_simd_length_64});
    for (int m = 0; m < 2; m++) {
        STORE8(out[m], chains[m][0]);
        STORE8(out[m] + 32, chains[m][1]);
    }
}

FOR_AVX2 void X11_FOUR(simd_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    simd_hash_two(in, out);
    simd_hash_two(in + 2, out + 2);
}

#endif
