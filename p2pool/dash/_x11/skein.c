/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Skein-512-512, the fourth function of X11, in portable C.
 */
#include <string.h>

#include "skein_core.h"

enum { BLOCK = 64 };

uint64_t x11_skein_initial[8];

/* Section 3.5.4: the initial value is the hash of the configuration string: schema, version 1, output of 512 bits. */
void x11_skein_init(void)
{
    const uint64_t configuration[8] = {UINT64_C(0x133414853), 512};
    memset(x11_skein_initial, 0, sizeof x11_skein_initial);
    skein_block(x11_skein_initial, configuration, 32, SKEIN_CONFIGURATION | SKEIN_FIRST | SKEIN_FINAL);
}

static void chain_bytes(uint64_t h[8], const uint8_t block[BLOCK], uint64_t position, uint64_t flags)
{
    uint64_t m[8];
    load_words_le(m, block);
    skein_block(h, m, position, flags);
}

void x11_skein(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint64_t h[8], position = 0, first = SKEIN_FIRST;
    uint8_t padded[BLOCK] = {0};

    memcpy(h, x11_skein_initial, sizeof h);
    for (; length - position > BLOCK; message += BLOCK, first = 0) {
        position += BLOCK;
        chain_bytes(h, message, position, SKEIN_MESSAGE | first);
    }
    if (length > 0)
        memcpy(padded, message, length - position);
    chain_bytes(h, padded, length, SKEIN_MESSAGE | first | SKEIN_FINAL);
    skein_output(h);
    store_words_le(digest, h);
}

void x11_skein_64(const uint8_t message[64], uint8_t digest[64])
{
    uint64_t h[8], m[8];

    load_words_le(m, message);
    skein_64_bytes(h, m);
    store_words_le(digest, h);
}
