/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SIMD-512, from "SIMD Is a Message Digest" (version 1.1) by Gaetan Leurent, Charles Bouillaguet and Pierre-Alain
 * Fouque: eight Feistel ladders side by side, driven by a number-theoretic transform of the message modulo 257.
 */
/* Loops over lanes and ladders are written for vector units. Clang uses these by itself. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("tree-vectorize")
#endif

#include "simd.h"

#include <string.h>

#include "bytes.h"

uint32_t x11_simd_initial[4][8];
int16_t x11_simd_twiddles[16][16];
int16_t x11_simd_offsets[2][256];
uint32_t x11_simd_length_64[SIMD_STEPS][8];

/* Return the number between -128 and 128 that equals `value` modulo 257, if that is between -2^23 and 2^23. */
static int32_t centre(int32_t value)
{
    value = (value & 0xff) - (value >> 8);
    value = (value & 0xff) - (value >> 8);
    return value > 128 ? value - 257 : value;
}

/* Replace four rows by their transform with the root 16, whose square is -1 modulo 257. */
static void transform_4(int32_t *a, int32_t *b, int32_t *c, int32_t *d)
{
    for (int lane = 0; lane < 16; lane++) {
        int32_t even_sum = a[lane] + c[lane], even_difference = a[lane] - c[lane];
        int32_t odd_sum = b[lane] + d[lane], odd_difference = (b[lane] - d[lane]) * 16;

        a[lane] = even_sum + odd_sum;
        b[lane] = even_difference + odd_difference;
        c[lane] = even_sum - odd_sum;
        d[lane] = even_difference - odd_difference;
    }
}

/* Replace 16 rows by their transform with the root 2. Row 4 * p + q of the result is where row 4 * q + p belongs. */
static void transform_16(int32_t rows[16][16])
{
    for (int i = 0; i < 4; i++)
        transform_4(rows[i], rows[i + 4], rows[i + 8], rows[i + 12]);
    for (int p = 1; p < 4; p++)
        for (int q = 1; q < 4; q++)
            for (int lane = 0; lane < 16; lane++)
                rows[4 * p + q][lane] = centre(rows[4 * p + q][lane] * (1 << (p * q)));
    for (int i = 0; i < 16; i += 4)
        transform_4(rows[i], rows[i + 1], rows[i + 2], rows[i + 3]);
}

static int transposed(int row)
{
    return 4 * (row % 4) + row / 4;
}

/* The transform of 128 bytes, followed by 128 zeros, with the root 41; plus an offset. 256 elements make 16 x 16: a
 * transform of columns, a multiplication by powers of the root, and a transform of rows. The root of both is
 * 41^16 = 2. */
static void transform(int32_t y[16][16], const uint8_t block[SIMD_BLOCK], const int16_t offsets[256])
{
    int32_t rows[16][16] = {{0}}, columns[16][16];

    for (int i = 0; i < SIMD_BLOCK; i++)
        rows[i / 16][i % 16] = block[i];
    transform_16(rows);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++)
            columns[j][i] = centre(centre(rows[transposed(i)][j]) * x11_simd_twiddles[i][j]);
    transform_16(columns);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++)
            y[i][j] = centre(columns[transposed(i)][j] + offsets[16 * i + j]);
}

/* Two elements, multiplied by a constant of the specification, as the halves of a word. */
static uint32_t pair(int32_t low, int32_t high, int32_t factor)
{
    return ((uint32_t)(low * factor) & 0xffff) | (uint32_t)(high * factor) << 16;
}

/* Expand a block to the words that each step adds, in the order of the steps. */
static void expand(uint32_t words[SIMD_STEPS][8], const uint8_t block[SIMD_BLOCK], int final)
{
    int32_t y[16][16];

    transform(y, block, x11_simd_offsets[final]);
    for (int step = 0; step < SIMD_STEPS; step++) {
        int group = simd_order[step];

        for (int j = 0; j < 8; j++) {
            if (group < 16)
                words[step][j] = pair(y[group][2 * j], y[group][2 * j + 1], 185);
            else if (group < 24)
                words[step][j] = pair(y[group - 16][2 * j], y[group - 8][2 * j], 233);
            else
                words[step][j] = pair(y[group - 24][2 * j + 1], y[group - 16][2 * j + 1], 233);
        }
    }
}

/* One step of all ladders. `number` counts the steps of the block: it chooses the ladder whose A is added to D. */
static void step(uint32_t state[4][8], const uint32_t words[8], int number)
{
    const uint8_t *rotations = simd_rotations[number / 8];
    const unsigned first = rotations[number % 4], second = rotations[(number + 1) % 4];
    const int neighbour = simd_neighbours[number % 7], majority = number % 8 >= 4;
    uint32_t rotated[8];

    for (int j = 0; j < 8; j++)
        rotated[j] = rotl32(state[0][j], first);
    for (int j = 0; j < 8; j++) {
        uint32_t a = state[0][j], b = state[1][j], c = state[2][j];
        uint32_t mixed = majority ? (a & b) | (c & (a | b)) : ((b ^ c) & a) ^ c;

        state[0][j] = rotl32(state[3][j] + words[j] + mixed, second) + rotated[j ^ neighbour];
        state[3][j] = c;
        state[2][j] = b;
        state[1][j] = rotated[j];
    }
}

/* Compress a block whose message has been expanded. */
static void compress_words(uint32_t chain[4][8], const uint8_t block[SIMD_BLOCK], uint32_t words[SIMD_STEPS][8])
{
    uint32_t state[4][8];

    for (int i = 0; i < 32; i++)
        state[i / 8][i % 8] = chain[i / 8][i % 8] ^ load32_le(block + 4 * i);
    for (int i = 0; i < SIMD_STEPS; i++)
        step(state, words[i], i);
    for (int i = 0; i < SIMD_LAST_STEPS; i++)
        step(state, chain[i], SIMD_STEPS + i);
    memcpy(chain, state, sizeof state);
}

static void compress(uint32_t chain[4][8], const uint8_t block[SIMD_BLOCK], int final)
{
    uint32_t words[SIMD_STEPS][8];

    expand(words, block, final);
    compress_words(chain, block, words);
}

static void store_digest(uint8_t digest[64], uint32_t chain[4][8])
{
    for (int i = 0; i < 16; i++)
        store32_le(digest + 4 * i, chain[i / 8][i % 8]);
}

void x11_simd_init(void)
{
    uint8_t block[SIMD_BLOCK] = {0};
    int32_t power = 1, offset = 1, tripled = 1;

    for (int i = 0; i < 16; i++) {
        int32_t element = 1;

        for (int j = 0; j < 16; j++) {
            x11_simd_twiddles[i][j] = (int16_t)element;
            element = centre(element * power);
        }
        power = centre(power * 41);
    }
    for (int i = 0; i < 256; i++) {
        x11_simd_offsets[0][i] = (int16_t)offset;
        x11_simd_offsets[1][i] = (int16_t)centre(offset + tripled);
        offset = centre(offset * 163);
        tripled = centre(tripled * 40); /* 163^3 */
    }
    memcpy(block, "SIMD-512 v1.1", 13);
    memset(x11_simd_initial, 0, sizeof x11_simd_initial);
    compress(x11_simd_initial, block, 0);
    memset(block, 0, sizeof block);
    store64_le(block, 512);
    expand(x11_simd_length_64, block, 1);
}

void x11_simd(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint32_t chain[4][8];
    uint8_t last[SIMD_BLOCK] = {0};
    const uint64_t bits = (uint64_t)length * 8;

    memcpy(chain, x11_simd_initial, sizeof chain);
    for (; length >= SIMD_BLOCK; message += SIMD_BLOCK, length -= SIMD_BLOCK)
        compress(chain, message, 0);
    if (length > 0) {
        memcpy(last, message, length);
        compress(chain, last, 0);
        memset(last, 0, sizeof last);
    }
    store64_le(last, bits);
    compress(chain, last, 1);
    store_digest(digest, chain);
}

void x11_simd_64(const uint8_t message[64], uint8_t digest[64])
{
    uint32_t chain[4][8];
    uint8_t block[SIMD_BLOCK] = {0};

    memcpy(chain, x11_simd_initial, sizeof chain);
    memcpy(block, message, 64);
    compress(chain, block, 0);
    memset(block, 0, sizeof block);
    store64_le(block, 512);
    compress_words(chain, block, x11_simd_length_64);
    store_digest(digest, chain);
}
