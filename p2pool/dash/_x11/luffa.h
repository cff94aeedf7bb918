/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of Luffa for different processors share.
 */
#ifndef X11_LUFFA_H
#define X11_LUFFA_H

#include "x11.h"

enum { LUFFA_WIDTH = 5, LUFFA_STEPS = 8, LUFFA_BLOCK = 32 };

/* Tables with a place for each permutation Q_j: five lanes of a register of eight. Filled by x11_luffa_init. */

/* [i][j]: word i of the starting variable V_j. */
extern uint32_t x11_luffa_initial[8][8];

/* [r][k][j]: what step r of Q_j adds to word 0 (k = 0) and to word 4 (k = 1). */
extern uint32_t x11_luffa_constants[LUFFA_STEPS][2][8];

/* The same numbers for four messages side by side: place 4 * (j % 2) + m of register j / 2 is for Q_j of message m. */
extern uint32_t x11_luffa_constants_x4[3][LUFFA_STEPS][2][8];

#endif
