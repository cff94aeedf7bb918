/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The permutation Keccak-f[1600]: "The Keccak reference", version 3.0 (Bertoni, Daemen, Peeters, Van Assche, 2011),
 * section 1.2. Lane (x, y) is a[x + 5 * y].
 */
#include "lanes.h"

extern uint64_t x11_keccak_iota[24];

/* Row y of the result: chi of five lanes that pi moves there, each rotated by rho. d is theta's column parity. */
#define LANE(x, y, count) ROTL(a[(x) + 5 * (y)] ^ d[x], count)
#define CHI(y, b0, b1, b2, b3, b4)                              \
    do {                                                        \
        const word c0 = b0, c1 = b1, c2 = b2, c3 = b3, c4 = b4; \
        e[5 * (y)] = LOGIC(XOR_AND_NOT, c0, c2, c1);            \
        e[5 * (y) + 1] = LOGIC(XOR_AND_NOT, c1, c3, c2);        \
        e[5 * (y) + 2] = LOGIC(XOR_AND_NOT, c2, c4, c3);        \
        e[5 * (y) + 3] = LOGIC(XOR_AND_NOT, c3, c0, c4);        \
        e[5 * (y) + 4] = LOGIC(XOR_AND_NOT, c4, c1, c0);        \
    } while (0)

CORE void keccak_round(word e[25], const word a[25], uint64_t iota)
{
    word c[5], d[5];
    for (int x = 0; x < 5; x++)
        c[x] = LOGIC(XOR3, LOGIC(XOR3, a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
    for (int x = 0; x < 5; x++)
        d[x] = c[(x + 4) % 5] ^ ROTL(c[(x + 1) % 5], 1);
    CHI(0, (a[0] ^ d[0]), LANE(1, 1, 44), LANE(2, 2, 43), LANE(3, 3, 21), LANE(4, 4, 14));
    CHI(1, LANE(3, 0, 28), LANE(4, 1, 20), LANE(0, 2, 3), LANE(1, 3, 45), LANE(2, 4, 61));
    CHI(2, LANE(1, 0, 1), LANE(2, 1, 6), LANE(3, 2, 25), LANE(4, 3, 8), LANE(0, 4, 18));
    CHI(3, LANE(4, 0, 27), LANE(0, 1, 36), LANE(1, 2, 10), LANE(2, 3, 15), LANE(3, 4, 56));
    CHI(4, LANE(2, 0, 62), LANE(3, 1, 55), LANE(4, 2, 39), LANE(0, 3, 41), LANE(1, 4, 2));
    e[0] ^= iota;
}

CORE void keccak_permute(word a[25])
{
    word b[25];
    for (int round = 0; round < 24; round += 2) {
        keccak_round(b, a, x11_keccak_iota[round]);
        keccak_round(a, b, x11_keccak_iota[round + 1]);
    }
}

/* Hash 64 bytes, which are in a[0..7]; the rest of the state is set here. The digest is a[0..7]. */
CORE void keccak_64_bytes(word a[25])
{
    a[8] = WORD(UINT64_C(0x8000000000000000) | 1); /* first and last bit of the padding */
    for (int i = 9; i < 25; i++)
        a[i] = WORD(0);
    keccak_permute(a);
}

#undef LANE
#undef CHI
