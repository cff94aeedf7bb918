/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * BLAKE, BMW, Skein, JH and Keccak of four messages at once, with AVX2: each register has a word of each message.
 */
#define X11_FOUR_LANES
#include "lanes.h"

#if X11_X86

#include "blake_core.h"
#include "bmw_core.h"
#include "jh_core.h"
#include "keccak_core.h"
#include "skein_core.h"

ALWAYS_INLINE TARGET_AVX2 void load_le(lanes *words, const uint8_t *const in[4])
{
    for (int i = 0; i < 8; i++)
        words[i] = (lanes){load64_le(in[0] + 8 * i), load64_le(in[1] + 8 * i), load64_le(in[2] + 8 * i),
                           load64_le(in[3] + 8 * i)};
}

ALWAYS_INLINE TARGET_AVX2 void store_le(uint8_t *const out[4], const lanes *words)
{
    for (int lane = 0; lane < 4; lane++)
        for (int i = 0; i < 8; i++)
            store64_le(out[lane] + 8 * i, words[i][lane]);
}

TARGET_AVX2 void X11_FOUR(blake_80)(const uint8_t *const in[4], uint8_t *const out[4])
{
    lanes h[8], m[16];
    for (int i = 0; i < 10; i++)
        m[i] = (lanes){load64_be(in[0] + 8 * i), load64_be(in[1] + 8 * i), load64_be(in[2] + 8 * i),
                       load64_be(in[3] + 8 * i)};
    blake_header(h, m);
    for (int lane = 0; lane < 4; lane++)
        for (int i = 0; i < 8; i++)
            store64_be(out[lane] + 8 * i, h[i][lane]);
}

/* GCC makes code for AVX-512 of this that takes twice the time. */
#if !defined(X11_FOR_AVX512)
TARGET_AVX2 void X11_FOUR(bmw_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    lanes h[16], m[16];
    load_le(m, in);
    bmw_64_bytes(h, m);
    store_le(out, h + 8);
}
#endif

TARGET_AVX2 void X11_FOUR(skein_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    lanes h[8], m[8];
    load_le(m, in);
    skein_64_bytes(h, m);
    store_le(out, h);
}

TARGET_AVX2 void X11_FOUR(jh_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    lanes x[8][2], m[4][2];
    load_le(m[0], in);
    jh_64_bytes(x, m);
    store_le(out, x[4]);
}

TARGET_AVX2 void X11_FOUR(keccak_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    lanes a[25];
    load_le(a, in);
    keccak_64_bytes(a);
    store_le(out, a);
}

#endif
