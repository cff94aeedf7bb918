/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tables of the AES round, computed from the definition of its S-box (FIPS 197, sections 4.2 and 5.1.1).
 */
#include "aes.h"

uint32_t x11_aes_columns[4][256];

/* Multiply by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
static uint8_t times_x(uint8_t value)
{
    return (uint8_t)(value << 1 ^ (value >> 7) * 0x1b);
}

static uint8_t rotate8(uint8_t value, unsigned count)
{
    return (uint8_t)(value << count | value >> (8 - count));
}

void x11_aes_init(void)
{
    uint8_t power[255]; /* of x + 1, which generates all nonzero elements */
    uint8_t logarithm[256] = {0};
    uint8_t element = 1;

    for (int i = 0; i < 255; i++) {
        power[i] = element;
        logarithm[element] = (uint8_t)i;
        element ^= times_x(element);
    }
    for (int b = 0; b < 256; b++) {
        uint8_t inverse = b == 0 ? 0 : power[(255 - logarithm[b]) % 255];
        uint8_t s = (uint8_t)(inverse ^ rotate8(inverse, 1) ^ rotate8(inverse, 2) ^ rotate8(inverse, 3) ^
                              rotate8(inverse, 4) ^ 0x63);
        uint8_t twice = times_x(s);
        uint32_t column = twice | (uint32_t)s << 8 | (uint32_t)s << 16 | (uint32_t)(twice ^ s) << 24;

        x11_aes_columns[0][b] = column;
        for (unsigned row = 1; row < 4; row++)
            x11_aes_columns[row][b] = rotl32(column, 8 * row);
    }
}
