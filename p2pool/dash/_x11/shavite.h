/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of SHAvite-3 for different processors share.
 */
#ifndef X11_SHAVITE_H
#define X11_SHAVITE_H

#include "x11.h"

enum { SHAVITE_BLOCK = 128, SHAVITE_ROUNDS = 14, SHAVITE_KEY_WORDS = 32 * SHAVITE_ROUNDS };

/* The chaining value before the first block, filled by x11_shavite_init. */
extern uint32_t x11_shavite_initial[16];

/* Write the end of a padded message of less than a block: the length in bits and the size of the digest. */
static inline void shavite_end(uint8_t block[SHAVITE_BLOCK], uint64_t bits)
{
    for (int i = 0; i < 8; i++)
        block[110 + i] = (uint8_t)(bits >> (8 * i));
    block[126] = 512 & 0xff;
    block[127] = 512 >> 8;
}

#endif
