/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of SHAvite-3 for different processors share.
 */
#ifndef X11_SHAVITE_H
#define X11_SHAVITE_H

#include "x11.h"

enum {
    SHAVITE_BLOCK = 128,
    SHAVITE_LENGTH_AT = SHAVITE_BLOCK - 18,
    SHAVITE_ROUNDS = 14,
    SHAVITE_KEY_WORDS = 32 * SHAVITE_ROUNDS,
};

/* The chaining value before the first block, filled by x11_shavite_init. */
extern uint32_t x11_shavite_initial[16];

#endif
