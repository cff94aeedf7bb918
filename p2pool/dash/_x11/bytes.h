/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Words from bytes and back, in a stated byte order and at any address; rotations.
 */
#ifndef X11_BYTES_H
#define X11_BYTES_H

#include <stdint.h>

static inline uint32_t load32_le(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint32_t load32_be(const uint8_t *bytes)
{
    return (uint32_t)bytes[3] | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[0] << 24;
}

static inline uint64_t load64_le(const uint8_t *bytes)
{
    return (uint64_t)load32_le(bytes) | (uint64_t)load32_le(bytes + 4) << 32;
}

static inline uint64_t load64_be(const uint8_t *bytes)
{
    return (uint64_t)load32_be(bytes + 4) | (uint64_t)load32_be(bytes) << 32;
}

static inline void store32_le(uint8_t *bytes, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(word >> (8 * i));
}

static inline void store32_be(uint8_t *bytes, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(word >> (24 - 8 * i));
}

static inline void store64_le(uint8_t *bytes, uint64_t word)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(word >> (8 * i));
}

static inline void store64_be(uint8_t *bytes, uint64_t word)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(word >> (56 - 8 * i));
}

/* Eight words at once: the digest of a function, and its message in X11. */
static inline void load_words_le(uint64_t words[8], const uint8_t bytes[64])
{
    for (int i = 0; i < 8; i++)
        words[i] = load64_le(bytes + 8 * i);
}

static inline void store_words_le(uint8_t bytes[64], const uint64_t words[8])
{
    for (int i = 0; i < 8; i++)
        store64_le(bytes + 8 * i, words[i]);
}

static inline void store_words_be(uint8_t bytes[64], const uint64_t words[8])
{
    for (int i = 0; i < 8; i++)
        store64_be(bytes + 8 * i, words[i]);
}

static inline uint32_t rotl32(uint32_t word, unsigned count)
{
    return word << count | word >> (32 - count);
}

static inline uint64_t rotl64(uint64_t word, unsigned count)
{
    return word << count | word >> (64 - count);
}

#endif
