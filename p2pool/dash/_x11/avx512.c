/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Groestl, Luffa, CubeHash, SHAvite and SIMD with AVX2, compiled for AVX-512: see targets.h.
 */
#include "x11.h"

#if X11_X86
#define X11_FOR_AVX512
#include "cubehash_avx2.c"
#include "cubehash_rows.c"
#include "groestl_avx2.c"
#include "luffa_avx2.c"
#include "luffa_x4.c"
#include "shavite_x4.c"
#include "simd_avx2.c"
#include "simd_x4.c"
#endif
