/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Groestl-512, the third function of X11, in portable C.
 *
 * A column is a word whose least significant byte is row 0. SubBytes and MixBytes are one look-up for each byte: a
 * column of the matrix times the substituted byte. The other columns of the matrix are rotations of the first.
 */
#include <string.h>

#include "groestl.h"

static uint64_t columns[256]; /* the first column of the matrix times S(x) */

static unsigned doubled(unsigned x)
{
    return (x << 1 ^ (x & 0x80 ? 0x11b : 0)) & 0xff;
}

static unsigned multiplied(unsigned x, unsigned y)
{
    unsigned product = 0;
    for (; y; y >>= 1, x = doubled(x))
        product ^= y & 1 ? x : 0;
    return product;
}

/* The S-box of AES: the inverse in GF(256), then an affine transform. */
static unsigned substituted(unsigned x)
{
    unsigned inverse = 1;
    for (int i = 0; i < 254; i++)
        inverse = multiplied(inverse, x);
    const unsigned twice = inverse | inverse << 8;
    return (inverse ^ twice >> 7 ^ twice >> 6 ^ twice >> 5 ^ twice >> 4 ^ 0x63) & 0xff;
}

void x11_groestl_init(void)
{
    /* Section 3.4.4: the circulant matrix of 2, 2, 3, 4, 5, 3, 5, 7, by columns. */
    static const uint8_t factors[8] = {2, 7, 5, 3, 5, 4, 3, 2};
    for (unsigned x = 0; x < 256; x++) {
        uint64_t column = 0;
        for (unsigned row = 0; row < 8; row++)
            column |= (uint64_t)multiplied(substituted(x), factors[row]) << (8 * row);
        columns[x] = column;
    }
}

/* ShiftBytes, SubBytes and MixBytes. */
static inline void mix(uint64_t out[16], const uint64_t in[16], const uint8_t shifts[8])
{
    for (unsigned column = 0; column < 16; column++) {
        uint64_t sum = columns[in[(column + shifts[0]) % 16] & 0xff];
        for (unsigned row = 1; row < 8; row++) {
            const uint64_t from = in[(column + shifts[row]) % 16];
            sum ^= rotl64(columns[from >> (8 * row) & 0xff], 8 * row);
        }
        out[column] = sum;
    }
}

static void permute_p(uint64_t state[16])
{
    static const uint8_t shifts[8] = GROESTL_SHIFTS_P;
    uint64_t before[16];
    for (unsigned round = 0; round < GROESTL_ROUNDS; round++) {
        for (unsigned i = 0; i < 16; i++)
            before[i] = state[i] ^ (i << 4 ^ round);
        mix(state, before, shifts);
    }
}

static void permute_q(uint64_t state[16])
{
    static const uint8_t shifts[8] = GROESTL_SHIFTS_Q;
    uint64_t before[16];
    for (unsigned round = 0; round < GROESTL_ROUNDS; round++) {
        for (unsigned i = 0; i < 16; i++)
            before[i] = ~state[i] ^ (uint64_t)(i << 4 ^ round) << 56;
        mix(state, before, shifts);
    }
}

static void compress(uint64_t h[16], const uint8_t block[GROESTL_BLOCK])
{
    uint64_t p[16], q[16];
    for (int i = 0; i < 16; i++) {
        q[i] = load64_le(block + 8 * i);
        p[i] = q[i] ^ h[i];
    }
    permute_p(p);
    permute_q(q);
    for (int i = 0; i < 16; i++)
        h[i] ^= p[i] ^ q[i];
}

/* The output transform: the second half of P(h) ^ h. */
static void finish(uint64_t h[16], uint8_t digest[64])
{
    uint64_t p[16];
    memcpy(p, h, sizeof p);
    permute_p(p);
    for (int i = 0; i < 8; i++)
        store64_le(digest + 8 * i, p[8 + i] ^ h[8 + i]);
}

/* The initial value: the size of the digest in bits, in the last bytes. */
static void initialise(uint64_t h[16])
{
    memset(h, 0, 15 * sizeof h[0]);
    h[15] = (uint64_t)(512 >> 8) << 48;
}

void x11_groestl(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint64_t h[16];
    uint64_t blocks = length / GROESTL_BLOCK;
    size_t left = length % GROESTL_BLOCK;

    initialise(h);
    for (uint64_t i = 0; i < blocks; i++, message += GROESTL_BLOCK)
        compress(h, message);

    /* A one bit, zeros, and the number of blocks with this padding. */
    uint8_t padded[2 * GROESTL_BLOCK] = {0};
    uint8_t *last = left < GROESTL_BLOCK - 8 ? padded : padded + GROESTL_BLOCK;
    if (left > 0)
        memcpy(padded, message, left);
    padded[left] = 0x80;
    store64_be(last + GROESTL_BLOCK - 8, blocks + (last == padded ? 1 : 2));
    compress(h, padded);
    if (last != padded)
        compress(h, last);
    finish(h, digest);
}

void x11_groestl_64(const uint8_t message[64], uint8_t digest[64])
{
    uint64_t h[16];
    uint8_t block[GROESTL_BLOCK] = {0};

    initialise(h);
    memcpy(block, message, 64);
    block[64] = 0x80;
    block[GROESTL_BLOCK - 1] = 1;
    compress(h, block);
    finish(h, digest);
}
