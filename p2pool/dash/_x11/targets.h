/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The instruction sets of functions for x86-64 and 64-bit ARM, which they name themselves whatever the compiler's flags
 * are. Every 64-bit ARM processor has NEON, and the forms that use nothing else name no target.
 *
 * What is written for AVX2 is compiled twice. A file that defines X11_FOR_AVX512 and includes the sources for AVX2
 * makes the forms for AVX-512 of them: registers stay 256 bits wide, but there are 32 of them, and the compiler uses
 * instructions that rotate or combine three operands. Wider registers would slow down some processors.
 */
#ifndef X11_TARGETS_H
#define X11_TARGETS_H

#include "x11.h"

#if X11_AARCH64
#define X11_TARGET_AES "+crypto"
#define X11_WIDE(name) x11_##name##_neon
#elif defined(X11_FOR_AVX512)
#define X11_TARGET_AES "aes,ssse3,sse4.1"
#define X11_TARGET_AVX2 "aes,avx2,bmi,bmi2,avx512f,avx512vl,avx512bw,avx512dq"
#define X11_WIDE(name) x11_##name##_avx512
#define X11_FOUR(name) x11_##name##_x4_avx512
#else
#define X11_TARGET_AES "aes,ssse3,sse4.1"
#define X11_TARGET_AVX2 "aes,avx2,bmi,bmi2"
#define X11_WIDE(name) x11_##name##_avx2
#define X11_FOUR(name) x11_##name##_x4
#endif

#endif
