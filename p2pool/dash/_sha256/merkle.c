/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Merkle trees as Bitcoin builds them.
 */
#include "sha256.h"

#include <string.h>

/* Replace a level by the one above it, but for its first `skipped` hashes, and return its length. */
static size_t rise(uint8_t *hashes, size_t count, size_t skipped)
{
    if (count % 2) {
        memcpy(hashes + count * SHA256_DIGEST, hashes + (count - 1) * SHA256_DIGEST, SHA256_DIGEST);
        count++;
    }
    count /= 2;
    sha256_pairs(hashes + skipped * SHA256_BLOCK, count - skipped, hashes + skipped * SHA256_DIGEST);
    return count;
}

void merkle_root(uint8_t *hashes, size_t count, uint8_t root[SHA256_DIGEST])
{
    while (count > 1)
        count = rise(hashes, count, 0);
    memcpy(root, hashes, SHA256_DIGEST);
}

size_t merkle_branch(uint8_t *hashes, size_t count, size_t index, uint8_t *branch)
{
    const size_t skipped = index == 0; /* its own hashes are on no branch of the first leaf */
    size_t length = 0;

    for (; count > 1; index /= 2, length++) {
        const size_t sibling = (index ^ 1) < count ? index ^ 1 : index;
        memcpy(branch + length * SHA256_DIGEST, hashes + sibling * SHA256_DIGEST, SHA256_DIGEST);
        count = rise(hashes, count, skipped);
    }
    return length;
}

void merkle_step(uint8_t leaf[SHA256_DIGEST], const uint8_t sibling[SHA256_DIGEST], int leaf_is_right)
{
    uint8_t pair[SHA256_BLOCK];
    memcpy(pair + (leaf_is_right ? SHA256_DIGEST : 0), leaf, SHA256_DIGEST);
    memcpy(pair + (leaf_is_right ? 0 : SHA256_DIGEST), sibling, SHA256_DIGEST);
    sha256_pairs(pair, 1, leaf);
}
