/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the programs have in common that hash messages in hexadecimal, one a line, from standard input.
 */
#ifndef ANSWERS_H
#define ANSWERS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { LONGEST_LINE = 8192 };

/* Convert the hexadecimal digits at the start of `text` to bytes, of which there are at most half as many, and return
 * their number. */
static size_t from_hex(const char *text, uint8_t *bytes)
{
    size_t length = 0;
    unsigned byte;

    while (sscanf(text + 2 * length, "%2x", &byte) == 1)
        bytes[length++] = (uint8_t)byte;
    return length;
}

static void print_hex(const uint8_t *bytes, size_t size, const char *end)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    fputs(end, stdout);
}

#endif
