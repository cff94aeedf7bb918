/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * CubeHash of 64 bytes with AVX2.
 *
 * A register holds eight words. Bit 3 of a word's index chooses its register and bit 1 the half of the register; bits
 * 0 and 2 are its place in the half. Of the four swaps of a round, one is then a change of names, and the others
 * are made while the rotations of the other half of the state, which take longer, are under way.
 */
#include "cubehash.h"

#if X11_X86

#include "x86.h"

enum { ROUNDS = 16, END_ROUNDS = 160 };

typedef struct {
    __m256i low[2], high[2];
} cube;

/* Bring eight words in order of their index into the order of a register. It is its own inverse. */
INLINE_AVX2 __m256i reorder(__m256i words)
{
    return _mm256_permute4x64_epi64(words, 0xd8);
}

INLINE_AVX2 __m256i load(const void *words)
{
    return reorder(LOAD8(words));
}

/* `count` must be even. */
INLINE_AVX2 void rounds(cube *state, int count)
{
    __m256i a = state->low[0], b = state->low[1], c = state->high[0], d = state->high[1];

    while (count-- > 0) {
        __m256i e, f;

        c = ADD8(c, a);
        d = ADD8(d, b);
        e = XOR8(ROTL8(b, 7), c);
        f = XOR8(ROTL8(a, 7), d);
        c = ADD8(_mm256_permute4x64_epi64(c, 0x4e), e);
        d = ADD8(_mm256_permute4x64_epi64(d, 0x4e), f);
        /* Bit 2 of all indexes is complemented in every other round. That leaves the swap of a and b to c and d, which
         * have time for it. */
        a = XOR8(ROTL8(e, 11), _mm256_shuffle_epi32(c, 0x4e));
        b = XOR8(ROTL8(f, 11), _mm256_shuffle_epi32(d, 0x4e));
        c = _mm256_shuffle_epi32(c, 0x1b);
        d = _mm256_shuffle_epi32(d, 0x1b);
    }
    state->low[0] = a;
    state->low[1] = b;
    state->high[0] = c;
    state->high[1] = d;
}

INLINE_AVX2 void absorb(cube *state, __m256i block)
{
    state->low[0] = XOR8(state->low[0], block);
    rounds(state, ROUNDS);
}

FOR_AVX2 void x11_cubehash_64_avx2(const uint8_t message[64], uint8_t digest[64])
{
    const uint32_t *initial = x11_cubehash_initial;
    cube state = {{load(initial), load(initial + 8)}, {load(initial + 16), load(initial + 24)}};

    absorb(&state, load(message));
    absorb(&state, load(message + 32));
    absorb(&state, _mm256_set_epi32(0, 0, 0, 0, 0, 0, 0, 0x80));
    /* Word 31 is the last of its register. */
    state.high[1] = XOR8(state.high[1], _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0));
    rounds(&state, END_ROUNDS);
    STORE8(digest, reorder(state.low[0]));
    STORE8(digest + 32, reorder(state.low[1]));
}

#endif
