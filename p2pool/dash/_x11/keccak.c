/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keccak-512 as it was submitted to SHA-3 (padding without the suffix of FIPS 202), the sixth function of X11, in
 * portable C.
 */
#include <string.h>

#include "keccak_core.h"

enum { RATE = 72 };

uint64_t x11_keccak_iota[24];

/* Section 1.2.5: bit 2^j - 1 of constant i is output 7 i + j of a linear feedback shift register. */
void x11_keccak_init(void)
{
    unsigned state = 1;
    for (int i = 0; i < 24; i++) {
        uint64_t constant = 0;
        for (unsigned j = 0; j < 7; j++) {
            constant |= (uint64_t)(state & 1) << ((1u << j) - 1);
            state = (state << 1) ^ (state & 0x80 ? 0x171u : 0);
        }
        x11_keccak_iota[i] = constant;
    }
}

static void absorb(uint64_t a[25], const uint8_t block[RATE])
{
    for (int i = 0; i < RATE / 8; i++)
        a[i] ^= load64_le(block + 8 * i);
    keccak_permute(a);
}

void x11_keccak(const uint8_t *message, size_t length, uint8_t digest[64])
{
    uint64_t a[25] = {0};

    for (; length >= RATE; message += RATE, length -= RATE)
        absorb(a, message);

    uint8_t padded[RATE] = {0};
    if (length > 0)
        memcpy(padded, message, length);
    padded[length] = 0x01;
    padded[RATE - 1] |= 0x80;
    absorb(a, padded);
    store_words_le(digest, a);
}

void x11_keccak_64(const uint8_t message[64], uint8_t digest[64])
{
    uint64_t a[25];

    load_words_le(a, message);
    keccak_64_bytes(a);
    store_words_le(digest, a);
}
