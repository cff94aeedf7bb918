/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SIMD with AVX2: a register holds 16 elements of the transform, or a word of each of the eight ladders.
 *
 * The transform is the one of simd.c. Its elements have 16 bits, and are reduced only where they could overflow:
 * comments give the largest absolute value that an element can have.
 */
#ifndef X11_SIMD_AVX2_H
#define X11_SIMD_AVX2_H

#include "simd.h"
#include "vectors.h"

#define ADD16(a, b) _mm256_add_epi16(a, b)
#define SUB16(a, b) _mm256_sub_epi16(a, b)
#define SHIFT16(a, count) _mm256_slli_epi16(a, count)

/* Return elements that are equal modulo 257: of at most 32767, at most 256; of at most 8192, at most 160. */
INLINE_AVX2 __m256i simd_reduce(__m256i x)
{
    const __m256i quotient = _mm256_mulhrs_epi16(x, _mm256_set1_epi16(128));

    return SUB16(x, _mm256_mullo_epi16(quotient, _mm256_set1_epi16(257)));
}

/* Return the elements between -128 and 128 that are equal modulo 257. */
INLINE_AVX2 __m256i simd_centre(__m256i x)
{
    const __m256i size = _mm256_set1_epi16(257);

    x = SUB16(_mm256_and_si256(x, _mm256_set1_epi16(255)), _mm256_srai_epi16(x, 8));
    return SUB16(x, _mm256_and_si256(_mm256_cmpgt_epi16(x, _mm256_set1_epi16(128)), size));
}

/* The transform of four elements with the root 16, given the difference of b and d. */
INLINE_AVX2 void simd_transform_4(__m256i *a, __m256i *b, __m256i *c, __m256i *d, __m256i odd_difference)
{
    const __m256i even_sum = ADD16(*a, *c), even_difference = SUB16(*a, *c);
    const __m256i odd_sum = ADD16(*b, *d);

    odd_difference = SHIFT16(odd_difference, 4);
    *a = ADD16(even_sum, odd_sum);
    *b = ADD16(even_difference, odd_difference);
    *c = SUB16(even_sum, odd_sum);
    *d = SUB16(even_difference, odd_difference);
}

/* The transform of 16 rows, of which only the first four are not zero and contain bytes. Results: at most 26911. */
INLINE_AVX2 void simd_transform_bytes(__m256i rows[16])
{
    const __m256i a = rows[0], b = rows[1], c = rows[2], d = rows[3];

    rows[4] = rows[8] = rows[12] = a;
    rows[5] = SHIFT16(b, 1);
    rows[6] = SHIFT16(c, 2);
    rows[7] = simd_reduce(SHIFT16(d, 3)); /* 136 */
    rows[9] = SHIFT16(b, 2);
    rows[10] = SHIFT16(c, 4);
    rows[11] = simd_reduce(SHIFT16(d, 6)); /* 192 */
    rows[13] = simd_reduce(SHIFT16(b, 3)); /* 136 */
    rows[14] = SHIFT16(c, 6);
    rows[15] = SUB16(_mm256_setzero_si256(), SHIFT16(d, 1));
    UNROLL
    for (int i = 0; i < 16; i += 4)
        simd_transform_4(&rows[i], &rows[i + 1], &rows[i + 2], &rows[i + 3], SUB16(rows[i + 1], rows[i + 3]));
}

/* The transform of 16 rows of at most 256. Results: at most 26730. */
INLINE_AVX2 void simd_transform_16(__m256i rows[16])
{
    UNROLL
    for (int i = 0; i < 4; i++)
        simd_transform_4(&rows[i], &rows[i + 4], &rows[i + 8], &rows[i + 12], SUB16(rows[i + 4], rows[i + 12]));
    /* 1024 in the first four rows, 8704 in the others. Multiply by powers of two; 2^9 is -2. */
    rows[4] = simd_reduce(rows[4]);                        /* 162 */
    rows[5] = SHIFT16(simd_reduce(rows[5]), 1);            /* 324 */
    rows[6] = SHIFT16(simd_reduce(rows[6]), 2);            /* 648 */
    rows[7] = SHIFT16(simd_reduce(rows[7]), 3);            /* 1296 */
    rows[9] = SHIFT16(simd_reduce(rows[9]), 2);            /* 648 */
    rows[10] = SHIFT16(simd_reduce(rows[10]), 4);          /* 2592 */
    rows[11] = simd_reduce(SHIFT16(simd_reduce(rows[11]), 6)); /* 169 */
    rows[13] = simd_reduce(SHIFT16(simd_reduce(rows[13]), 3)); /* 133 */
    rows[14] = SHIFT16(simd_reduce(rows[14]), 6);          /* 10368 */
    rows[15] = SUB16(_mm256_setzero_si256(), SHIFT16(simd_reduce(rows[15]), 1)); /* 324 */
    simd_transform_4(&rows[0], &rows[1], &rows[2], &rows[3], simd_reduce(SUB16(rows[1], rows[3])));
    UNROLL
    for (int i = 4; i < 16; i += 4)
        simd_transform_4(&rows[i], &rows[i + 1], &rows[i + 2], &rows[i + 3], SUB16(rows[i + 1], rows[i + 3]));
}

/* The transform of 16 rows leaves the row that belongs to place i at place simd_place(i). */
INLINE_AVX2 int simd_place(int i)
{
    return 4 * (i % 4) + i / 4;
}

/* Interleave the elements of registers i and i + 8, in both halves. Seen as bits, the four of a register's number and
 * the three of an element's place in its half, this rotates their string to the left. */
INLINE_AVX2 void simd_interleave(__m256i out[16], const __m256i in[16])
{
    UNROLL
    for (int i = 0; i < 8; i++) {
        out[2 * i] = _mm256_unpacklo_epi16(in[i], in[i + 8]);
        out[2 * i + 1] = _mm256_unpackhi_epi16(in[i], in[i + 8]);
    }
}

/* Transpose the 16 rows of a transform, in the order in which it leaves them. */
INLINE_AVX2 void simd_transpose(__m256i out[16], const __m256i in[16])
{
    __m256i x[16], y[16];

    /* With the rows in this order, three rotations bring the elements of the first eight rows to the first eight
     * registers, and those of the others to the others. */
    UNROLL
    for (int i = 0; i < 16; i++)
        x[i] = in[simd_place(i / 2 + 8 * (i % 2))];
    simd_interleave(y, x);
    simd_interleave(x, y);
    simd_interleave(y, x);
    UNROLL
    for (int i = 0; i < 8; i++) {
        out[i] = _mm256_permute2x128_si256(y[i], y[i + 8], 0x20);
        out[i + 8] = _mm256_permute2x128_si256(y[i], y[i + 8], 0x31);
    }
}

/* Expand a message of 64 bytes to the words that the steps of its block add. */
INLINE_AVX2 void simd_expand_64(uint32_t words[SIMD_STEPS][8], const uint8_t message[64])
{
    __m256i rows[16], y[16];
    const __m256i factor = _mm256_set1_epi16(185), later_factor = _mm256_set1_epi16(233);

    UNROLL
    for (int i = 0; i < 4; i++)
        rows[i] = _mm256_cvtepu8_epi16(LOAD4(message + 16 * i));
    simd_transform_bytes(rows);
    UNROLL
    for (int i = 0; i < 16; i++) {
        __m256i *row = &rows[simd_place(i)];

        /* 233 before the product, 29824 after it, and 245 in the end. */
        *row = simd_reduce(_mm256_mullo_epi16(simd_reduce(*row), LOAD8(x11_simd_twiddles[i])));
    }
    simd_transpose(y, rows);
    simd_transform_16(y);
    UNROLL
    for (int i = 0; i < 16; i++)
        rows[i] = simd_centre(ADD16(y[simd_place(i)], LOAD8(x11_simd_offsets[0] + 16 * i)));
    UNROLL
    for (int i = 0; i < SIMD_STEPS; i++) {
        const int group = simd_order[i], first = group % 8;
        __m256i pairs;

        if (group < 16)
            pairs = _mm256_mullo_epi16(rows[group], factor);
        else if (group < 24)
            pairs = _mm256_mullo_epi16(
                _mm256_blend_epi16(rows[first], _mm256_slli_epi32(rows[first + 8], 16), 0xaa), later_factor);
        else
            pairs = _mm256_mullo_epi16(
                _mm256_blend_epi16(_mm256_srli_epi32(rows[first], 16), rows[first + 8], 0xaa), later_factor);
        STORE8(words[i], pairs);
    }
}

/* Move the word of each ladder j to the ladder j ^ distance. */
INLINE_AVX2 __m256i simd_exchange(__m256i words, int distance)
{
    switch (distance) {
    case 1:
        return _mm256_shuffle_epi32(words, 0xb1);
    case 2:
        return _mm256_shuffle_epi32(words, 0x4e);
    case 3:
        return _mm256_shuffle_epi32(words, 0x1b);
    case 4:
        return _mm256_permute4x64_epi64(words, 0x4e);
    case 5:
        return _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(5, 4, 7, 6, 1, 0, 3, 2));
    case 6:
        return _mm256_permute4x64_epi64(words, 0x1b);
    default:
        return _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0));
    }
}

/* One step of all ladders: see simd.c. */
INLINE_AVX2 void simd_step(__m256i state[4], __m256i words, int number)
{
    const uint8_t *rotations = simd_rotations[number / 8];
    const int first = rotations[number % 4], second = rotations[(number + 1) % 4];
    const __m256i a = state[0], b = state[1], c = state[2];
    const __m256i rotated = ROTL8(a, first);
    __m256i sum = ADD8(state[3], words);

    if (number % 8 < 4)
        sum = ADD8(sum, XOR8(_mm256_and_si256(XOR8(b, c), a), c));
    else
        sum = ADD8(sum, _mm256_or_si256(_mm256_and_si256(_mm256_or_si256(b, c), a), _mm256_and_si256(b, c)));
    state[0] = ADD8(ROTL8(sum, second), simd_exchange(rotated, simd_neighbours[number % 7]));
    state[3] = c;
    state[2] = b;
    state[1] = rotated;
}

#endif
