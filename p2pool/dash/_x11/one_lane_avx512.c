/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The functions of one_lane.c, compiled for AVX-512: see targets.h.
 */
#include "x11.h"

#if X11_X86
#define X11_FOR_AVX512
#include "one_lane.c"
#endif
