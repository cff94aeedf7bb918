/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHAvite-3-512, from "The SHAvite-3 Hash Function (tweaked version)" by Eli Biham and Orr Dunkelman: HAIFA around the
 * block cipher E512, a Feistel cipher of 14 rounds whose functions are four rounds of AES each.
 */
#include "shavite.h"

#include <string.h>

#include "aes.h"

uint32_t x11_shavite_initial[16];

static const uint32_t no_key[4];

/* Add the count of hashed bits to four new words of the key. The order of its words, the last of which is complemented,
 * differs from place to place. */
static void add_counter(uint32_t words[4], int at, uint64_t bits)
{
    const uint32_t low = (uint32_t)bits, high = (uint32_t)(bits >> 32);

    if (at == 32) {
        words[0] ^= low;
        words[1] ^= high;
        words[3] ^= 0xffffffff;
    } else if (at == 164) {
        words[2] ^= high;
        words[3] ^= ~low;
    } else if (at == 316) {
        words[2] ^= low;
        words[3] ^= ~high;
    } else if (at == 440) {
        words[0] ^= high;
        words[1] ^= low;
        words[3] ^= 0xffffffff;
    }
}

/* Expand the message of a block, with the count of message bits up to its end, to the keys of all rounds. */
static void expand(uint32_t key[SHAVITE_KEY_WORDS], const uint8_t block[SHAVITE_BLOCK], uint64_t bits)
{
    for (int i = 0; i < 32; i++)
        key[i] = load32_le(block + 4 * i);
    for (int i = 32; i < SHAVITE_KEY_WORDS;) {
        for (int group = 0; group < 8; group++, i += 4) {
            const uint32_t rotated[4] = {key[i - 31], key[i - 30], key[i - 29], key[i - 32]};

            aes_round(key + i, rotated, key + i - 4);
            add_counter(key + i, i, bits);
        }
        for (int k = 0; k < 32 && i < SHAVITE_KEY_WORDS; k++, i++)
            key[i] = key[i - 32] ^ key[i - 7];
    }
}

/* The function F4: four rounds of AES, the keys of which come before each round. */
static void add_rounds(uint32_t target[4], const uint32_t source[4], const uint32_t key[16])
{
    uint32_t x[4], y[4];

    for (int i = 0; i < 4; i++)
        x[i] = source[i] ^ key[i];
    aes_round(y, x, key + 4);
    aes_round(x, y, key + 8);
    aes_round(y, x, key + 12);
    aes_round(x, y, no_key);
    for (int i = 0; i < 4; i++)
        target[i] ^= x[i];
}

static void compress(uint32_t chain[16], const uint8_t block[SHAVITE_BLOCK], uint64_t bits)
{
    uint32_t key[SHAVITE_KEY_WORDS], state[4][4];

    expand(key, block, bits);
    memcpy(state, chain, sizeof state);
    /* The four quarters move one place to the right after each round; here the roles move instead. */
    for (unsigned round = 0; round < SHAVITE_ROUNDS; round++) {
        uint32_t *a = state[(0 - round) & 3], *b = state[(1 - round) & 3];
        uint32_t *c = state[(2 - round) & 3], *d = state[(3 - round) & 3];

        add_rounds(a, b, key + 32 * round);
        add_rounds(c, d, key + 32 * round + 16);
    }
    for (int i = 0; i < 16; i++)
        chain[i] ^= state[((unsigned)i / 4 - SHAVITE_ROUNDS) & 3][i % 4];
}

void x11_shavite_init(void)
{
    uint8_t block[SHAVITE_BLOCK] = {0};

    x11_aes_init();
    memset(x11_shavite_initial, 0, sizeof x11_shavite_initial);
    compress(x11_shavite_initial, block, 0);
    block[0] = 512 & 0xff;
    block[1] = 512 >> 8;
    compress(x11_shavite_initial, block, 0);
}

void x11_shavite(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint32_t chain[16];
    uint8_t last[SHAVITE_BLOCK] = {0};
    const uint64_t bits = (uint64_t)length * 8;
    uint64_t hashed = 0;

    memcpy(chain, x11_shavite_initial, sizeof chain);
    for (; length >= SHAVITE_BLOCK; message += SHAVITE_BLOCK, length -= SHAVITE_BLOCK) {
        hashed += SHAVITE_BLOCK * 8;
        compress(chain, message, hashed);
    }
    if (length > 0)
        memcpy(last, message, length);
    last[length] = 0x80;
    /* The counter of a block that contains no bit of the message is zero. */
    if (length >= SHAVITE_LENGTH_AT) {
        compress(chain, last, bits);
        memset(last, 0, sizeof last);
        length = 0;
    }
    store64_le(last + SHAVITE_LENGTH_AT, bits);
    last[SHAVITE_BLOCK - 2] = 512 & 0xff;
    last[SHAVITE_BLOCK - 1] = 512 >> 8;
    compress(chain, last, length == 0 ? 0 : bits);
    for (int i = 0; i < 16; i++)
        store32_le(digest + 4 * i, chain[i]);
}

void x11_shavite_64(const uint8_t message[64], uint8_t digest[64])
{
    x11_shavite(message, 64, digest);
}
