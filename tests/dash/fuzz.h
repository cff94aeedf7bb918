/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the programs have in common that call C code with random memory, so that sanitizers see what it should not do.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state; /* of the random numbers: a seed at first */

static uint8_t random_byte(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint8_t)(state >> 56);
}

/* Memory that ends where the heap's guard begins, `offset` bytes after an aligned address. */
struct block {
    uint8_t *memory, *bytes;
};

static struct block allocate(size_t size, size_t offset)
{
    struct block block;
    block.memory = malloc(size + offset + (size + offset == 0));
    if (block.memory == NULL)
        exit(2);
    block.bytes = block.memory + offset;
    for (size_t i = 0; i < size; i++)
        block.bytes[i] = random_byte();
    return block;
}

/* End the program with status 1 if two pieces of memory differ. */
static void must_equal(const uint8_t *a, const uint8_t *b, size_t size, const char *what)
{
    if (size != 0 && memcmp(a, b, size) != 0) {
        printf("%s differs\n", what);
        exit(1);
    }
}

#endif
