/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The functions of one_lane_avx2.c, compiled for AVX-512: see targets.h.
 */
#define X11_FOR_AVX512
#include "one_lane_avx2.c"
