/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ECHO-512, from "SHA-3 Proposal: ECHO" (version 2.0) by Ryad Benadjila, Olivier Billet, Henri Gilbert, Gilles
 * Macario-Rat, Thomas Peyrin, Matt Robshaw and Yannick Seurin: an AES of 2048 bits whose bytes are words of 128 bits.
 */
#include <string.h>

#include "aes.h"
#include "x11.h"

enum { BLOCK = 128, ROUNDS = 10, LENGTH_AT = BLOCK - 18 };

static const uint32_t no_salt[4];

void x11_echo_init(void)
{
    x11_aes_init();
}

/* BIG.SubWords: two rounds of AES on each word, the first with a counter as its key. */
static void sub_words(uint32_t state[16][4], uint64_t *counter)
{
    for (int w = 0; w < 16; w++) {
        const uint32_t key[4] = {(uint32_t)*counter, (uint32_t)(*counter >> 32), 0, 0};
        uint32_t half_way[4];

        aes_round(half_way, state[w], key);
        aes_round(state[w], half_way, no_salt);
        ++*counter;
    }
}

/* BIG.ShiftRows: words are in columns of four; row r moves by r columns. */
static void shift_rows(uint32_t state[16][4])
{
    uint32_t from[16][4];

    memcpy(from, state, sizeof from);
    for (int w = 0; w < 16; w++)
        memcpy(state[w], from[(w + 4 * (w % 4)) % 16], sizeof from[0]);
}

/* Multiply each of four bytes by x in the field of AES. */
static uint32_t times_x(uint32_t bytes)
{
    return (bytes & 0x7f7f7f7f) << 1 ^ (bytes >> 7 & 0x01010101) * 0x1b;
}

/* BIG.MixColumns: AES's MixColumns across the four words of a column, byte by byte. */
static void mix_columns(uint32_t state[16][4])
{
    for (int column = 0; column < 16; column += 4) {
        for (int i = 0; i < 4; i++) {
            uint32_t a = state[column][i], b = state[column + 1][i];
            uint32_t c = state[column + 2][i], d = state[column + 3][i];
            uint32_t all = a ^ b ^ c ^ d;

            state[column][i] = a ^ all ^ times_x(a ^ b);
            state[column + 1][i] = b ^ all ^ times_x(b ^ c);
            state[column + 2][i] = c ^ all ^ times_x(c ^ d);
            state[column + 3][i] = d ^ all ^ times_x(d ^ a);
        }
    }
}

/* `bits` counts the bits of the message up to the end of the block, and is 0 if the block contains none. */
static void compress(uint32_t chain[8][4], const uint8_t block[BLOCK], uint64_t bits)
{
    uint32_t state[16][4];

    memcpy(state, chain, 8 * sizeof state[0]);
    for (int i = 0; i < BLOCK / 4; i++) {
        state[8 + i / 4][i % 4] = load32_le(block + 4 * i);
        chain[i / 4][i % 4] ^= load32_le(block + 4 * i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        sub_words(state, &bits);
        shift_rows(state);
        mix_columns(state);
    }
    for (int w = 0; w < 8; w++)
        for (int i = 0; i < 4; i++)
            chain[w][i] ^= state[w][i] ^ state[w + 8][i];
}

void x11_echo(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint32_t chain[8][4];
    uint8_t last[BLOCK] = {0};
    const uint64_t bits = (uint64_t)length * 8;
    uint64_t hashed = 0;

    for (int w = 0; w < 8; w++)
        memcpy(chain[w], (const uint32_t[4]){512}, sizeof chain[w]);
    for (; length >= BLOCK; message += BLOCK, length -= BLOCK) {
        hashed += BLOCK * 8;
        compress(chain, message, hashed);
    }
    if (length > 0)
        memcpy(last, message, length);
    last[length] = 0x80;
    if (length >= LENGTH_AT) {
        compress(chain, last, bits);
        memset(last, 0, sizeof last);
        length = 0;
    }
    last[LENGTH_AT] = 512 & 0xff;
    last[LENGTH_AT + 1] = 512 >> 8;
    store64_le(last + LENGTH_AT + 2, bits);
    compress(chain, last, length == 0 ? 0 : bits);
    for (int i = 0; i < 16; i++)
        store32_le(digest + 4 * i, chain[i / 4][i % 4]);
}

void x11_echo_64(const uint8_t message[64], uint8_t digest[64])
{
    x11_echo(message, 64, digest);
}
