/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHA-256 (FIPS 180-4) in the forms that Dash and the share chain use, and merkle trees over it.
 */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BLOCK 64
#define SHA256_DIGEST 32

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define SHA256_X86 1
#else
#define SHA256_X86 0
#endif
#if defined(__AARCH64EL__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define SHA256_AARCH64 1
#else
#define SHA256_AARCH64 0
#endif

enum sha256_level { SHA256_PORTABLE, SHA256_SHA, SHA256_LEVELS };
extern const char *const sha256_level_names[SHA256_LEVELS];
extern const uint32_t sha256_constants[64];
extern const uint32_t sha256_initial[8];

/* Choose the fastest instructions of this processor. May be called again. */
void sha256_init(void);
enum sha256_level sha256_supported(void);
/* Use a level that is supported. No other thread may hash at that time. */
void sha256_select(enum sha256_level level);

/* Run the compression function over `count` blocks. */
void sha256_compress(uint32_t state[8], const uint8_t *blocks, size_t count);
/* Hash what follows `hashed` bytes, a multiple of 64, which led to `state`. */
void sha256_finish(uint32_t state[8], uint64_t hashed, const uint8_t *data, size_t size, uint8_t digest[SHA256_DIGEST]);
void sha256_hash(const uint8_t *data, size_t size, uint8_t digest[SHA256_DIGEST]);
/* SHA-256 of SHA-256; the message may be where the digest goes. */
void sha256_twice(const uint8_t *data, size_t size, uint8_t digest[SHA256_DIGEST]);
/* SHA-256 of SHA-256 of each of `count` pieces of 64 bytes; `digests` may be `pairs`, or before it. */
void sha256_pairs(const uint8_t *pairs, size_t count, uint8_t *digests);

void sha256_load_state(uint32_t state[8], const uint8_t bytes[SHA256_DIGEST]);
void sha256_store_state(const uint32_t state[8], uint8_t bytes[SHA256_DIGEST]);

/* Merkle trees. A level of odd length repeats its last hash. `hashes` has room for one hash more than `count`, which
 * is at least 1, and is overwritten. */
void merkle_root(uint8_t *hashes, size_t count, uint8_t root[SHA256_DIGEST]);
/* Write the branch of a leaf, at most 64 hashes, and return its length. The leaf with index 0 may have any value. */
size_t merkle_branch(uint8_t *hashes, size_t count, size_t index, uint8_t *branch);
/* Replace a leaf by the hash of it and its sibling. */
void merkle_step(uint8_t leaf[SHA256_DIGEST], const uint8_t sibling[SHA256_DIGEST], int leaf_is_right);

/* Implementations. */
void sha256_compress_portable(uint32_t state[8], const uint8_t *blocks, size_t count);
void sha256_pairs_portable(const uint8_t *pairs, size_t count, uint8_t *digests);
#if SHA256_X86 || SHA256_AARCH64
void sha256_compress_sha(uint32_t state[8], const uint8_t *blocks, size_t count);
void sha256_pairs_sha(const uint8_t *pairs, size_t count, uint8_t *digests);
#endif

#endif
