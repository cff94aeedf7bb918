/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of CubeHash for different processors share.
 */
#ifndef X11_CUBEHASH_H
#define X11_CUBEHASH_H

#include "x11.h"

enum { CUBEHASH_BLOCK = 32, CUBEHASH_ROUNDS = 16, CUBEHASH_END_ROUNDS = 160 };

/* The state before the first block, filled by x11_cubehash_init. */
extern uint32_t x11_cubehash_initial[32];

#endif
