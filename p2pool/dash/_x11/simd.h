/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the implementations of SIMD-512 for different processors share.
 */
#ifndef X11_SIMD_H
#define X11_SIMD_H

#include "x11.h"

enum { SIMD_BLOCK = 128, SIMD_STEPS = 32, SIMD_LAST_STEPS = 4 };

/* The group of eight words of the expanded message that each step uses: the permutation P of the specification. */
static const uint8_t simd_order[SIMD_STEPS] = {
    4,  6,  0,  2,  7,  5,  3,  1,  15, 11, 12, 8,  9,  13, 10, 14,
    17, 18, 23, 20, 22, 21, 16, 19, 30, 24, 25, 31, 27, 29, 28, 26,
};

/* Four rotations for each round of eight steps, and for the last steps. Step i rotates by numbers i and i + 1. */
static const uint8_t simd_rotations[SIMD_STEPS / 8 + 1][4] = {
    {3, 23, 17, 27}, {28, 19, 22, 7}, {29, 9, 15, 5}, {4, 13, 10, 25}, {4, 13, 10, 25},
};

/* Step i adds to each ladder j the rotated A of ladder j ^ simd_neighbours[i % 7]. */
static const uint8_t simd_neighbours[7] = {1, 6, 2, 3, 5, 7, 4};

/* The tables below are filled by x11_simd_init. */

/* The chaining value before the first block: words A, B, C and D of the eight Feistel ladders. */
extern uint32_t x11_simd_initial[4][8];

/* [i][j]: 41^(i * j) modulo 257, between -128 and 128: between the two halves of the number-theoretic transform. */
extern int16_t x11_simd_twiddles[16][16];

/* [final][i]: what is added to element i of the transform, between -128 and 128; `final` is 1 for the last block. */
extern int16_t x11_simd_offsets[2][256];

/* The expanded message of the last block, which contains the length only, if the message is 64 bytes long; in the
 * order of the steps that use it. */
extern uint32_t x11_simd_length_64[SIMD_STEPS][8];

#endif
