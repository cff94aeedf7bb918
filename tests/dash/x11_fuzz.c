/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Calls every function of X11 with memory of exactly the size that it may touch, at every alignment, so that
 * sanitizers see what it should not do; and compares all forms with the general one. test_sanitizers.py compiles and
 * runs it. Arguments: a seed, and the longest message. Exit status 1: two forms differ.
 */
#include "chain.h"
#include "fuzz.h"

static void try_lengths(const struct x11_function *function, size_t longest)
{
    for (size_t length = 0; length <= longest; length++) {
        const size_t offset = random_byte() % 16;
        struct block message = allocate(length, offset), digest = allocate(64, random_byte() % 16);
        function->any(message.bytes, length, digest.bytes);
        free(message.memory);
        free(digest.memory);
    }
}

static void try_fixed(int number, size_t offset)
{
    const struct x11_function *function = &x11_functions[number];
    struct block message = allocate(function->length, offset), digest = allocate(64, (offset * 7) % 16);
    uint8_t expected[64];

    function->any(message.bytes, function->length, expected);
    x11_hash_fixed(number, message.bytes, digest.bytes);
    must_equal(digest.bytes, expected, 64, function->name);
    x11_hash_fixed(number, message.bytes, message.bytes); /* in place */
    must_equal(message.bytes, expected, 64, function->name);
    free(message.memory);
    free(digest.memory);
}

static void try_four(int number, size_t offset)
{
    const struct x11_function *function = &x11_functions[number];
    struct block messages[4];
    const uint8_t *in[4];
    uint8_t *out[4], expected[4][64];

    for (size_t i = 0; i < 4; i++) {
        messages[i] = allocate(function->length, (offset + 5 * i) % 16);
        in[i] = out[i] = messages[i].bytes;
        function->any(in[i], function->length, expected[i]);
    }
    x11_hash_four(number, in, out);
    for (size_t i = 0; i < 4; i++) {
        must_equal(out[i], expected[i], 64, function->name);
        free(messages[i].memory);
    }
}

static void try_headers(size_t count)
{
    struct block headers[16], digests = allocate(count * X11_DIGEST, count % 16);
    const uint8_t *in[16] = {NULL};
    uint8_t expected[X11_DIGEST];

    for (size_t i = 0; i < count; i++) {
        headers[i] = allocate(X11_HEADER, (count + i) % 16);
        in[i] = headers[i].bytes;
    }
    x11_hash_many(in, count, digests.bytes);
    for (size_t i = 0; i < count; i++) {
        x11_hash(in[i], expected);
        must_equal(digests.bytes + i * X11_DIGEST, expected, X11_DIGEST, "x11");
        free(headers[i].memory);
    }
    free(digests.memory);
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    state = strtoull(arguments[1], NULL, 10);
    const size_t longest = strtoul(arguments[2], NULL, 10);

    x11_init();
    x11_init(); /* may be called again */
    for (int i = 0; i < X11_FUNCTIONS; i++)
        try_lengths(&x11_functions[i], longest);
    for (int level = 0; level <= (int)x11_supported(); level++) {
        x11_select((enum x11_level)level);
        for (size_t offset = 0; offset < 16; offset++)
            for (int i = 0; i < X11_FUNCTIONS; i++) {
                try_fixed(i, offset);
                try_four(i, offset);
            }
        for (size_t headers = 0; headers <= 16; headers++)
            try_headers(headers);
    }
    return 0;
}
