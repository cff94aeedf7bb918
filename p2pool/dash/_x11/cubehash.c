/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * CubeHash16/32-512, from "CubeHash specification (2.B.1)" by Daniel J. Bernstein, with the parameters of "CubeHash
 * parameter tweak: 16 times faster": 16 rounds for each block of 32 bytes, 160 rounds before the first and after the
 * last block.
 */
#include "cubehash.h"

#include <string.h>

#include "bytes.h"

uint32_t x11_cubehash_initial[32];

/* The swaps of the specification are made where a word is read. */
static void rounds(uint32_t state[32], int count)
{
    uint32_t *low = state, *high = state + 16;
    uint32_t next_low[16], next_high[16];

    while (count-- > 0) {
        for (int i = 0; i < 16; i++)
            high[i] += low[i];
        for (int i = 0; i < 16; i++)
            next_low[i] = rotl32(low[i ^ 8], 7) ^ high[i];
        for (int i = 0; i < 16; i++)
            next_high[i] = high[i ^ 2] + next_low[i];
        for (int i = 0; i < 16; i++)
            low[i] = rotl32(next_low[i ^ 4], 11) ^ next_high[i];
        for (int i = 0; i < 16; i++)
            high[i] = next_high[i ^ 1];
    }
}

void x11_cubehash_init(void)
{
    uint32_t state[32] = {64, CUBEHASH_BLOCK, CUBEHASH_ROUNDS};

    rounds(state, CUBEHASH_END_ROUNDS);
    memcpy(x11_cubehash_initial, state, sizeof state);
}

static void absorb(uint32_t state[32], const uint8_t block[CUBEHASH_BLOCK])
{
    for (int i = 0; i < CUBEHASH_BLOCK / 4; i++)
        state[i] ^= load32_le(block + 4 * i);
    rounds(state, CUBEHASH_ROUNDS);
}

static void finish(uint32_t state[32], uint8_t digest[64])
{
    state[31] ^= 1;
    rounds(state, CUBEHASH_END_ROUNDS);
    for (int i = 0; i < 16; i++)
        store32_le(digest + 4 * i, state[i]);
}

void x11_cubehash(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint32_t state[32];
    uint8_t last[CUBEHASH_BLOCK] = {0};

    memcpy(state, x11_cubehash_initial, sizeof state);
    for (; length >= CUBEHASH_BLOCK; message += CUBEHASH_BLOCK, length -= CUBEHASH_BLOCK)
        absorb(state, message);
    if (length > 0)
        memcpy(last, message, length);
    last[length] = 0x80;
    absorb(state, last);
    finish(state, digest);
}

void x11_cubehash_64(const uint8_t message[64], uint8_t digest[64])
{
    x11_cubehash(message, 64, digest);
}
