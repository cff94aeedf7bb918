/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of SIMD-512 for different processors share.
 */
#ifndef X11_SIMD_H
#define X11_SIMD_H

#include "x11.h"

enum { SIMD_BLOCK = 128, SIMD_STEPS = 32, SIMD_LAST_STEPS = 4 };

/* All of these but x11_simd_order and x11_simd_rotations are filled by x11_simd_init. */

/* The chaining value before the first block: words A, B, C and D of the eight Feistel ladders. */
extern uint32_t x11_simd_initial[4][8];

/* [i][j]: 41^(i * j) modulo 257, between -128 and 128: between the two halves of the number-theoretic transform. */
extern int16_t x11_simd_twiddles[16][16];

/* [final][i]: what is added to element i of the transform, between -128 and 128; `final` is 1 for the last block. */
extern int16_t x11_simd_offsets[2][256];

/* The expanded message of the last block, which contains the length only, if the message is 64 bytes long; in the
 * order of the steps that use it. */
extern uint32_t x11_simd_length_64[SIMD_STEPS][8];

/* The group of eight words of the expanded message that each step uses: the permutation P of the specification. */
extern const uint8_t x11_simd_order[SIMD_STEPS];

/* Four rotations for each round of eight steps, and for the last steps. Step i rotates by number i and i + 1. */
extern const uint8_t x11_simd_rotations[SIMD_STEPS / 8 + 1][4];

#endif
