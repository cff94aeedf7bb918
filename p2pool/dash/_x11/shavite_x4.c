/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHAvite-3 of four messages of 64 bytes with AES-NI: rounds of one message are made while those of others wait.
 */
#include "shavite.h"

#if X11_X86

#include "shavite_aes.h"

FOR_AVX2 void X11_FOUR(shavite_64)(const uint8_t *const in[4], uint8_t *const out[4])
{
    __m128i keys[4][8], state[4][4];

    UNROLL
    for (int m = 0; m < 4; m++) {
        shavite_first_keys(keys[m], in[m]);
        UNROLL
        for (int i = 0; i < 4; i++)
            state[m][i] = LOAD4(x11_shavite_initial + 4 * i);
    }
    UNROLL
    for (int round = 0; round < SHAVITE_ROUNDS; round++) {
        UNROLL
        for (int m = 0; m < 4; m++) {
            __m128i *s = state[m], moved;

            if (round % 2 == 1)
                shavite_expand_with_aes(keys[m], round);
            else if (round > 0)
                shavite_expand_by_words(keys[m]);
            s[0] = XOR4(s[0], shavite_rounds(s[1], keys[m]));
            moved = XOR4(s[2], shavite_rounds(s[3], keys[m] + 4));
            s[2] = s[1];
            s[1] = s[0];
            s[0] = s[3];
            s[3] = moved;
        }
    }
    for (int m = 0; m < 4; m++) {
        UNROLL
        for (int i = 0; i < 4; i++)
            STORE4(out[m] + 16 * i, XOR4(state[m][i], LOAD4(x11_shavite_initial + 4 * i)));
    }
}

#endif
