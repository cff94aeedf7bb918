/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The choice of instructions, and whole messages.
 */
#include "sha256.h"

#include <string.h>

#if SHA256_X86
#include <cpuid.h>
#elif SHA256_AARCH64
#include <sys/auxv.h>
#endif

const char *const sha256_level_names[SHA256_LEVELS] = {"portable", "sha"};

static void (*compress)(uint32_t state[8], const uint8_t *blocks, size_t count) = sha256_compress_portable;
static void (*pairs_of)(const uint8_t *pairs, size_t count, uint8_t *digests) = sha256_pairs_portable;

enum sha256_level sha256_supported(void)
{
#if SHA256_X86
    unsigned a, b, c, d;
    const unsigned ssse3_and_sse41 = 1u << 9 | 1u << 19, sha = 1u << 29;

    if (__get_cpuid(1, &a, &b, &c, &d) && (c & ssse3_and_sse41) == ssse3_and_sse41 &&
        __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha))
        return SHA256_SHA;
#elif SHA256_AARCH64
    if (getauxval(AT_HWCAP) & HWCAP_SHA2)
        return SHA256_SHA;
#endif
    return SHA256_PORTABLE;
}

void sha256_select(enum sha256_level level)
{
    compress = sha256_compress_portable;
    pairs_of = sha256_pairs_portable;
#if SHA256_X86 || SHA256_AARCH64
    if (level == SHA256_SHA) {
        compress = sha256_compress_sha;
        pairs_of = sha256_pairs_sha;
    }
#else
    (void)level;
#endif
}

void sha256_init(void)
{
    sha256_select(sha256_supported());
}

void sha256_compress(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    compress(state, blocks, count);
}

void sha256_finish(uint32_t state[8], uint64_t hashed, const uint8_t *data, size_t size, uint8_t digest[SHA256_DIGEST])
{
    const size_t left = size % SHA256_BLOCK, ends = left < SHA256_BLOCK - 8 ? 1 : 2;
    const uint64_t bits = 8 * (hashed + size);
    uint8_t end[2 * SHA256_BLOCK] = {0};

    if (size >= SHA256_BLOCK)
        compress(state, data, size / SHA256_BLOCK);
    if (left)
        memcpy(end, data + size - left, left);
    end[left] = 0x80;
    for (size_t i = 0; i < 8; i++)
        end[ends * SHA256_BLOCK - 1 - i] = (uint8_t)(bits >> (8 * i));
    compress(state, end, ends);
    sha256_store_state(state, digest);
}

void sha256_hash(const uint8_t *data, size_t size, uint8_t digest[SHA256_DIGEST])
{
    uint32_t state[8];
    memcpy(state, sha256_initial, sizeof state);
    sha256_finish(state, 0, data, size, digest);
}

void sha256_twice(const uint8_t *data, size_t size, uint8_t digest[SHA256_DIGEST])
{
    sha256_hash(data, size, digest);
    sha256_hash(digest, SHA256_DIGEST, digest);
}

void sha256_pairs(const uint8_t *pairs, size_t count, uint8_t *digests)
{
    pairs_of(pairs, count, digests);
}
