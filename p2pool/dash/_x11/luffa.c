/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Luffa-512, from "Hash Function Luffa: Specification Ver. 2.0.1" by Christophe De Canniere, Hisayoshi Sato and Dai
 * Watanabe: five permutations of 256 bits side by side, and blocks of 256 bits.
 */
#include "luffa.h"

#include <string.h>

#include "bytes.h"

static const uint32_t starting_variables[LUFFA_WIDTH][8] = {
    {0x6d251e69, 0x44b051e0, 0x4eaa6fb4, 0xdbf78465, 0x6e292011, 0x90152df4, 0xee058139, 0xdef610bb},
    {0xc3b44b95, 0xd9d2f256, 0x70eee9a0, 0xde099fa3, 0x5d9b0557, 0x8fc944b3, 0xcf1ccf0e, 0x746cd581},
    {0xf7efc89d, 0x5dba5781, 0x04016ce5, 0xad659c05, 0x0306194f, 0x666d1836, 0x24aa230a, 0x8b264ae7},
    {0x858075d5, 0x36d79cce, 0xe571f7d7, 0x204b1f67, 0x35870c6a, 0x57e9e923, 0x14bcb808, 0x7cde72ce},
    {0x6c68e9be, 0x5ec41e22, 0xc825b7c7, 0xaffb4363, 0xf5df3999, 0x0fc688f1, 0xb07224cc, 0x03e86cea},
};

uint32_t x11_luffa_initial[8][8];
uint32_t x11_luffa_constants[LUFFA_STEPS][2][8];
uint32_t x11_luffa_constants_x4[3][LUFFA_STEPS][2][8];

/* Step the generator of constants, a shift register of 64 bits, and return its left half as it was before. */
static uint32_t next_constant(uint32_t *left, uint32_t *right)
{
    uint32_t carry = *left >> 31;
    uint32_t shifted_left = *left << 1 | *right >> 31;
    uint32_t shifted_right = *right << 1;

    if (carry) {
        shifted_left ^= 0xc4d6496c;
        shifted_right ^= 0x55c61c8d;
    }
    *left = shifted_right;
    *right = shifted_left;
    return shifted_left;
}

void x11_luffa_init(void)
{
    static const uint32_t seeds[LUFFA_WIDTH][2] = {
        {0x181cca53, 0x380cde06}, {0x5b6f0876, 0xf16f8594}, {0x7e106ce9, 0x38979cb0},
        {0xbb62f364, 0x92e93c29}, {0x9a025047, 0xcff2a940},
    };

    for (int j = 0; j < LUFFA_WIDTH; j++) {
        uint32_t left = seeds[j][0], right = seeds[j][1];

        for (int r = 0; r < LUFFA_STEPS; r++) {
            x11_luffa_constants[r][0][j] = next_constant(&left, &right);
            x11_luffa_constants[r][1][j] = next_constant(&left, &right);
            for (int k = 0; k < 2; k++)
                for (int m = 0; m < 4; m++)
                    x11_luffa_constants_x4[j / 2][r][k][4 * (j % 2) + m] = x11_luffa_constants[r][k][j];
        }
        for (int i = 0; i < 8; i++)
            x11_luffa_initial[i][j] = starting_variables[j][i];
    }
}

/* Multiply by x in the ring of the message injection: polynomials over words modulo x^8 + x^4 + x^3 + x + 1. */
static void times_x(uint32_t v[8])
{
    uint32_t top = v[7];

    for (int i = 7; i > 0; i--)
        v[i] = v[i - 1];
    v[0] = top;
    v[1] ^= top;
    v[3] ^= top;
    v[4] ^= top;
}

static void add(uint32_t v[8], const uint32_t w[8])
{
    for (int i = 0; i < 8; i++)
        v[i] ^= w[i];
}

static void inject(uint32_t v[LUFFA_WIDTH][8], uint32_t message[8])
{
    uint32_t sum[8] = {0}, kept[8];

    for (int j = 0; j < LUFFA_WIDTH; j++)
        add(sum, v[j]);
    times_x(sum);
    for (int j = 0; j < LUFFA_WIDTH; j++)
        add(v[j], sum);
    memcpy(kept, v[0], sizeof kept);
    for (int j = 0; j < LUFFA_WIDTH; j++) {
        times_x(v[j]);
        add(v[j], j + 1 < LUFFA_WIDTH ? v[j + 1] : kept);
    }
    memcpy(kept, v[LUFFA_WIDTH - 1], sizeof kept);
    for (int j = LUFFA_WIDTH - 1; j >= 0; j--) {
        times_x(v[j]);
        add(v[j], j > 0 ? v[j - 1] : kept);
    }
    for (int j = 0; j < LUFFA_WIDTH; j++) {
        add(v[j], message);
        times_x(message);
    }
}

/* The S-box on 32 columns at once, bit i of a column in *wi: the sequence of instructions of the specification. */
static inline void sub_crumb(uint32_t *w0, uint32_t *w1, uint32_t *w2, uint32_t *w3)
{
    uint32_t a = *w0, b = *w1, c = *w2, d = *w3, t = a;

    a |= b;
    c ^= d;
    b = ~b;
    a ^= d;
    d &= t;
    b ^= d;
    d ^= c;
    c &= a;
    a = ~a;
    c ^= b;
    b |= d;
    t ^= b;
    d ^= c;
    c &= b;
    b ^= a;
    *w0 = t;
    *w1 = b;
    *w2 = c;
    *w3 = d;
}

static inline void mix_word(uint32_t *upper, uint32_t *lower)
{
    uint32_t u = *upper, v = *lower;

    v ^= u;
    u = rotl32(u, 2) ^ v;
    v = rotl32(v, 14) ^ u;
    u = rotl32(u, 10) ^ v;
    v = rotl32(v, 1);
    *upper = u;
    *lower = v;
}

static void permute(uint32_t v[8], int j)
{
    if (j > 0)
        for (int i = 4; i < 8; i++)
            v[i] = rotl32(v[i], (unsigned)j);
    for (int r = 0; r < LUFFA_STEPS; r++) {
        sub_crumb(&v[0], &v[1], &v[2], &v[3]);
        sub_crumb(&v[5], &v[6], &v[7], &v[4]);
        for (int i = 0; i < 4; i++)
            mix_word(&v[i], &v[i + 4]);
        v[0] ^= x11_luffa_constants[r][0][j];
        v[4] ^= x11_luffa_constants[r][1][j];
    }
}

static void absorb(uint32_t v[LUFFA_WIDTH][8], const uint8_t block[LUFFA_BLOCK])
{
    uint32_t message[8];

    for (int i = 0; i < 8; i++)
        message[i] = load32_be(block + 4 * i);
    inject(v, message);
    for (int j = 0; j < LUFFA_WIDTH; j++)
        permute(v[j], j);
}

void x11_luffa(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint32_t v[LUFFA_WIDTH][8];
    uint8_t last[LUFFA_BLOCK] = {0};

    memcpy(v, starting_variables, sizeof v);
    for (; length >= LUFFA_BLOCK; message += LUFFA_BLOCK, length -= LUFFA_BLOCK)
        absorb(v, message);
    if (length > 0)
        memcpy(last, message, length);
    last[length] = 0x80;
    absorb(v, last);
    memset(last, 0, sizeof last);
    for (int half = 0; half < 2; half++) {
        absorb(v, last);
        for (int i = 0; i < 8; i++)
            store32_be(digest + 32 * half + 4 * i, v[0][i] ^ v[1][i] ^ v[2][i] ^ v[3][i] ^ v[4][i]);
    }
}

void x11_luffa_64(const uint8_t message[64], uint8_t digest[64])
{
    x11_luffa(message, 64, digest);
}
