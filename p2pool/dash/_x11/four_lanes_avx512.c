/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The functions of four_lanes.c, compiled for AVX-512: see targets.h.
 */
#define X11_FOR_AVX512
#include "four_lanes.c"
