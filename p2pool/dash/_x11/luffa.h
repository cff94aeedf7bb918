/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of Luffa for different processors share.
 */
#ifndef X11_LUFFA_H
#define X11_LUFFA_H

#include "x11.h"

enum { LUFFA_WIDTH = 5, LUFFA_STEPS = 8, LUFFA_BLOCK = 32 };

/* The starting variables V_j of the specification. */
extern const uint32_t x11_luffa_initial[LUFFA_WIDTH][8];

/* [j][r]: the constants of step r of permutation Q_j, for words 0 and 4. Filled by x11_luffa_init. */
extern uint32_t x11_luffa_constants[LUFFA_WIDTH][LUFFA_STEPS][2];

#endif
