/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of CubeHash for different processors share.
 */
#ifndef X11_CUBEHASH_H
#define X11_CUBEHASH_H

#include "x11.h"

/* The state before the first block, filled by x11_cubehash_init. */
extern uint32_t x11_cubehash_initial[32];

#endif
