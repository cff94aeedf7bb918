/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Groestl-512 of 64 bytes by the instructions for AES.
 */
#include "groestl.h"

#if X11_X86 || X11_AARCH64

#include "groestl_aes.h"

FOR_AES void x11_groestl_64_aes(const uint8_t message[64], uint8_t digest[64])
{
    bits128 p[8], q[8];

    groestl_load_rows(q, message);
    UNROLL
    for (int i = 0; i < 8; i++) {
        p[i] = i == 6 ? XOR4(q[i], groestl_initial()) : q[i];
        q[i] = XOR4(q[i], EACH_BYTE(-1));
    }
    for (int round = 0; round < GROESTL_ROUNDS; round++) {
        groestl_round_p(p, round);
        groestl_round_q(q, round);
    }
    UNROLL
    for (int i = 0; i < 8; i++)
        p[i] = XOR4(XOR4(p[i], q[i]), EACH_BYTE(-1));
    p[6] = XOR4(p[6], groestl_initial());
    groestl_finish(digest, p);
}

#endif
