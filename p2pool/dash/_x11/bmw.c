/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * BMW-512, the second function of X11, in portable C.
 */
#include <string.h>

#include "bmw_core.h"

enum { BLOCK = 128, LENGTH_AT = BLOCK - 8 };

static void compress_bytes(uint64_t h[16], const uint8_t block[BLOCK])
{
    uint64_t m[16];
    for (int i = 0; i < 16; i++)
        m[i] = load64_le(block + 8 * i);
    bmw_compress(h, m);
}

void x11_bmw(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint64_t h[16];
    size_t left = length;

    bmw_initialise(h);
    for (; left >= BLOCK; message += BLOCK, left -= BLOCK)
        compress_bytes(h, message);

    uint8_t padded[2 * BLOCK] = {0};
    uint8_t *last = left < LENGTH_AT ? padded : padded + BLOCK;
    if (left > 0)
        memcpy(padded, message, left);
    padded[left] = 0x80;
    store64_le(last + LENGTH_AT, (uint64_t)length << 3);
    compress_bytes(h, padded);
    if (last != padded)
        compress_bytes(h, last);

    bmw_finish(h);
    store_words_le(digest, h + 8);
}

void x11_bmw_64(const uint8_t message[64], uint8_t digest[64])
{
    uint64_t h[16], m[16];

    load_words_le(m, message);
    bmw_64_bytes(h, m);
    store_words_le(digest, h + 8);
}
