/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * BLAKE-512, the first function of X11, in portable C.
 */
#include <string.h>

#include "blake_core.h"

enum { BLOCK = 128, LENGTH_AT = BLOCK - 16 };

static void compress_bytes(uint64_t h[8], const uint8_t block[BLOCK], uint64_t bits)
{
    uint64_t m[16];
    for (int i = 0; i < 16; i++)
        m[i] = load64_be(block + 8 * i);
    blake_compress(h, m, bits);
}

void x11_blake(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint64_t h[8], bits = 0;
    size_t left = length;

    memcpy(h, blake_initial, sizeof h);
    for (; left >= BLOCK; message += BLOCK, left -= BLOCK) {
        bits += 8 * BLOCK;
        compress_bytes(h, message, bits);
    }

    /* A one bit, zeros, a one bit, and the length: in a second block if the first has no room. */
    uint8_t padded[2 * BLOCK] = {0};
    uint8_t *last = left < LENGTH_AT ? padded : padded + BLOCK;
    if (left > 0)
        memcpy(padded, message, left);
    padded[left] = 0x80;
    last[LENGTH_AT - 1] |= 0x01;
    store64_be(last + LENGTH_AT, (uint64_t)length >> 61);
    store64_be(last + LENGTH_AT + 8, (uint64_t)length << 3);

    compress_bytes(h, padded, left == 0 ? 0 : (uint64_t)length << 3);
    if (last != padded)
        compress_bytes(h, last, 0); /* a block without bits of the message */
    store_words_be(digest, h);
}

void x11_blake_80(const uint8_t header[80], uint8_t digest[64])
{
    uint64_t h[8], m[16];

    for (int i = 0; i < 10; i++)
        m[i] = load64_be(header + 8 * i);
    blake_header(h, m);
    store_words_be(digest, h);
}
