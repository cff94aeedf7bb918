/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHA-256 for any processor.
 */
#include "sha256.h"

#include <string.h>

const uint32_t sha256_initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

void sha256_load_state(uint32_t state[8], const uint8_t bytes[SHA256_DIGEST])
{
    for (int i = 0; i < 8; i++, bytes += 4)
        state[i] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void sha256_store_state(const uint32_t state[8], uint8_t bytes[SHA256_DIGEST])
{
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

#define ROTR(word, count) ((word) >> (count) | (word) << (32 - (count)))

/* A round; the callers rotate the names of the words instead of the words. */
#define ROUND(a, b, c, d, e, f, g, h, addend)                                                                          \
    do {                                                                                                               \
        h += (ROTR(e, 6) ^ ROTR(e, 11) ^ ROTR(e, 25)) + (g ^ (e & (f ^ g))) + (addend);                                \
        d += h;                                                                                                        \
        h += (ROTR(a, 2) ^ ROTR(a, 13) ^ ROTR(a, 22)) + ((a & b) | (c & (a | b)));                                     \
    } while (0)

static void expand(uint32_t words[64], const uint8_t *block)
{
    sha256_load_state(words, block);
    sha256_load_state(words + 8, block + 32);
    for (int i = 16; i < 64; i++) {
        const uint32_t x = words[i - 15], y = words[i - 2];
        words[i] = words[i - 16] + (ROTR(x, 7) ^ ROTR(x, 18) ^ x >> 3) + words[i - 7] +
                   (ROTR(y, 17) ^ ROTR(y, 19) ^ y >> 10);
    }
}

void sha256_compress_portable(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    for (; count; count--, blocks += SHA256_BLOCK) {
        uint32_t w[64];
        const uint32_t *k = sha256_constants;
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

        expand(w, blocks);
        for (int i = 0; i < 64; i += 8) {
            ROUND(a, b, c, d, e, f, g, h, k[i] + w[i]);
            ROUND(h, a, b, c, d, e, f, g, k[i + 1] + w[i + 1]);
            ROUND(g, h, a, b, c, d, e, f, k[i + 2] + w[i + 2]);
            ROUND(f, g, h, a, b, c, d, e, k[i + 3] + w[i + 3]);
            ROUND(e, f, g, h, a, b, c, d, k[i + 4] + w[i + 4]);
            ROUND(d, e, f, g, h, a, b, c, k[i + 5] + w[i + 5]);
            ROUND(c, d, e, f, g, h, a, b, k[i + 6] + w[i + 6]);
            ROUND(b, c, d, e, f, g, h, a, k[i + 7] + w[i + 7]);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

void sha256_pairs_portable(const uint8_t *pairs, size_t count, uint8_t *digests)
{
    /* What follows a message of 64 bytes, and one of 32: a set bit, zeros, the length in bits. */
    static const uint8_t padding[SHA256_BLOCK] = {[0] = 0x80, [62] = 0x02};
    uint8_t block[SHA256_BLOCK] = {[32] = 0x80, [62] = 0x01};
    uint32_t state[8];

    for (; count; count--, pairs += SHA256_BLOCK, digests += SHA256_DIGEST) {
        memcpy(state, sha256_initial, sizeof state);
        sha256_compress_portable(state, pairs, 1);
        sha256_compress_portable(state, padding, 1);
        sha256_store_state(state, block);
        memcpy(state, sha256_initial, sizeof state);
        sha256_compress_portable(state, block, 1);
        sha256_store_state(state, digests);
    }
}
