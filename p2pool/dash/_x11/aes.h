/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The round of AES (FIPS 197) in portable C, for SHAvite-3 and ECHO.
 */
#ifndef X11_AES_H
#define X11_AES_H

#include <stdint.h>

#include "bytes.h"

/* x11_aes_columns[r][b]: what byte b in row r of a column contributes to that column after SubBytes and MixColumns. A
 * column is a word whose least significant byte is row 0. */
extern uint32_t x11_aes_columns[4][256];

/* Fill x11_aes_columns. May be called again. */
void x11_aes_init(void);

/* out = one AES round (SubBytes, ShiftRows, MixColumns, AddRoundKey) of `in`. The two must not overlap. */
static inline void aes_round(uint32_t out[4], const uint32_t in[4], const uint32_t key[4])
{
    for (int c = 0; c < 4; c++)
        out[c] = x11_aes_columns[0][in[c] & 0xff] ^ x11_aes_columns[1][in[(c + 1) & 3] >> 8 & 0xff] ^
                 x11_aes_columns[2][in[(c + 2) & 3] >> 16 & 0xff] ^ x11_aes_columns[3][in[(c + 3) & 3] >> 24] ^ key[c];
}

#endif
