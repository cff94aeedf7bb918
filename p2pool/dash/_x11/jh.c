/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JH-512, the fifth function of X11, in portable C, and the tables of its round constants and initial value.
 */
#include <string.h>

#include "jh_core.h"

enum { BLOCK = 64, ROUNDS = 42 };

uint64_t x11_jh_constants[ROUNDS][2][2];
uint64_t x11_jh_initial[8][2];

/* Section 2.2: the two S-boxes. */
static const uint8_t boxes[2][16] = {
    {9, 0, 4, 11, 13, 12, 3, 15, 1, 10, 2, 6, 7, 5, 8, 14},
    {3, 12, 6, 13, 5, 7, 1, 9, 15, 2, 0, 4, 11, 10, 14, 8},
};

/* Section 4.3: the first round constant, the fraction of the square root of two in 64 digits of four bits. */
static const uint8_t first_constant[32] = {
    0x6a, 0x09, 0xe6, 0x67, 0xf3, 0xbc, 0xc9, 0x08, 0xb2, 0xfb, 0x13, 0x66, 0xea, 0x95, 0x7d, 0x3e,
    0x3a, 0xde, 0xc1, 0x75, 0x12, 0x77, 0x50, 0x99, 0xda, 0x2f, 0x59, 0x0b, 0x06, 0x67, 0x32, 0x2a,
};

/* Twice an element of GF(16) modulo x^4 + x + 1. */
static unsigned doubled(unsigned element)
{
    return (element << 1 ^ (element & 8 ? 0x13 : 0)) & 15;
}

/* Section 3.3: where the permutation of 2^d elements moves element i. */
static unsigned permuted(unsigned i, unsigned d)
{
    const unsigned half = 1u << (d - 1);
    if (i % 4 >= 2) /* pi exchanges the last two of four */
        i ^= 1;
    i = i % 2 ? half + i / 2 : i / 2; /* even ones before odd ones */
    return i >= half ? i ^ 1 : i; /* phi exchanges neighbours in the second half */
}

/* The next round constant: one round of the six-dimensional function with constant zero. */
static void next_constant(uint8_t constant[64])
{
    uint8_t moved[64];
    for (unsigned i = 0; i < 64; i += 2) {
        unsigned a = boxes[0][constant[i]], b = boxes[0][constant[i + 1]];
        b ^= doubled(a);
        a ^= doubled(b);
        moved[permuted(i, 6)] = (uint8_t)a;
        moved[permuted(i + 1, 6)] = (uint8_t)b;
    }
    memcpy(constant, moved, sizeof moved);
}

/* Put the bits of all round constants where the exchanges of jh_permute have their elements. Slot 2 i of a round is
 * bit i of the even rows and slot 2 i + 1 that of the odd rows; `held` is the element in each slot. */
static void make_constants(void)
{
    uint8_t constant[64], bytes[2][16];
    unsigned held[256], next[256];

    for (unsigned i = 0; i < 64; i++)
        constant[i] = first_constant[i / 2] >> (i % 2 ? 0 : 4) & 15;
    for (unsigned i = 0; i < 256; i++)
        held[i] = i;
    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(bytes, 0, sizeof bytes);
        for (unsigned slot = 0; slot < 256; slot++) {
            const unsigned bit = constant[held[slot] / 4] >> (3 - held[slot] % 4) & 1;
            const unsigned at = slot / 2;
            bytes[slot % 2][at / 8] |= (uint8_t)(bit << (7 - at % 8));
            const unsigned to = slot % 2 ? slot ^ 2u << round % 7 : slot;
            next[to] = permuted(held[slot], 8);
        }
        for (int i = 0; i < 4; i++)
            x11_jh_constants[round][i / 2][i % 2] = load64_le(bytes[i / 2] + 8 * (i % 2));
        memcpy(held, next, sizeof held);
        next_constant(constant);
    }
}

static void load_block(uint64_t m[4][2], const uint8_t block[BLOCK])
{
    for (int i = 0; i < 8; i++)
        m[i / 2][i % 2] = load64_le(block + 8 * i);
}

static void compress_bytes(uint64_t x[8][2], const uint8_t block[BLOCK])
{
    uint64_t m[4][2];
    load_block(m, block);
    jh_compress(x, m);
}

/* Section 4.2: the state starts as the size of the digest in bits, and takes a block of zeros. */
void x11_jh_init(void)
{
    const uint8_t size[2] = {512 >> 8, 512 & 255}, zeros[BLOCK] = {0};
    make_constants();
    memset(x11_jh_initial, 0, sizeof x11_jh_initial);
    x11_jh_initial[0][0] = (uint64_t)size[0] | (uint64_t)size[1] << 8;
    compress_bytes(x11_jh_initial, zeros);
}

static void store_digest(uint8_t digest[64], uint64_t x[8][2])
{
    for (int i = 0; i < 8; i++)
        store64_le(digest + 8 * i, x[4 + i / 2][i % 2]);
}

void x11_jh(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint64_t x[8][2];
    size_t left = length;

    memcpy(x, x11_jh_initial, sizeof x);
    for (; left >= BLOCK; message += BLOCK, left -= BLOCK)
        compress_bytes(x, message);

    /* At least 512 bits: a one, zeros, and the length in 128 bits. Whole blocks get one more, others two. */
    uint8_t padded[2 * BLOCK] = {0};
    uint8_t *last = left == 0 ? padded : padded + BLOCK;
    if (left > 0)
        memcpy(padded, message, left);
    padded[left] = 0x80;
    store64_be(last + BLOCK - 16, (uint64_t)length >> 61);
    store64_be(last + BLOCK - 8, (uint64_t)length << 3);
    compress_bytes(x, padded);
    if (last != padded)
        compress_bytes(x, last);
    store_digest(digest, x);
}

void x11_jh_64(const uint8_t message[64], uint8_t digest[64])
{
    uint64_t x[8][2], m[4][2];

    load_block(m, message);
    jh_64_bytes(x, m);
    store_digest(digest, x);
}
