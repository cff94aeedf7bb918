/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHAvite-3 of 64 bytes by the instructions for AES.
 */
#include "shavite.h"

#if X11_X86 || X11_AARCH64

#include "shavite_aes.h"

FOR_AES void x11_shavite_64_aes(const uint8_t message[64], uint8_t digest[64])
{
    const uint32_t *initial = x11_shavite_initial;
    bits128 key[8], a = LOAD4(initial), b = LOAD4(initial + 4), c = LOAD4(initial + 8), d = LOAD4(initial + 12);

    shavite_first_keys(key, message);
    UNROLL
    for (int round = 0; round < SHAVITE_ROUNDS; round++) {
        bits128 moved;

        if (round % 2 == 1)
            shavite_expand_with_aes(key, round);
        else if (round > 0)
            shavite_expand_by_words(key);
        a = XOR4(a, shavite_rounds(b, key));
        moved = XOR4(c, shavite_rounds(d, key + 4));
        c = b;
        b = a;
        a = d;
        d = moved;
    }
    STORE4(digest, XOR4(a, LOAD4(initial)));
    STORE4(digest + 16, XOR4(b, LOAD4(initial + 4)));
    STORE4(digest + 32, XOR4(c, LOAD4(initial + 8)));
    STORE4(digest + 48, XOR4(d, LOAD4(initial + 12)));
}

#endif
