/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Calls SHA-256 and the merkle trees with memory of exactly the size that they may touch, at many alignments, so that
 * sanitizers see what they should not do; and compares the instructions of this processor with portable code.
 * test_sanitizers.py compiles and runs it. Argument: a seed. Exit status 1: two forms differ.
 */
#include "fuzz.h"
#include "sha256.h"

#define LONGEST 600
#define MOST_HASHES 70

/* Random memory at a random alignment. */
static struct block anywhere(size_t size)
{
    return allocate(size, random_byte() % 16);
}

static struct block copy_of(struct block original, size_t size)
{
    struct block block = anywhere(size);
    if (size)
        memcpy(block.bytes, original.bytes, size);
    return block;
}

static void try_length(size_t length, enum sha256_level level)
{
    struct block message = anywhere(length), digests = anywhere(2 * SHA256_DIGEST);
    uint32_t words[8];

    sha256_select(level);
    sha256_twice(message.bytes, length, digests.bytes);
    const size_t whole = length - length % SHA256_BLOCK;
    memcpy(words, sha256_initial, sizeof words);
    sha256_select(SHA256_PORTABLE);
    sha256_compress(words, message.bytes, whole / SHA256_BLOCK);
    sha256_finish(words, whole, message.bytes + whole, length - whole, digests.bytes + SHA256_DIGEST);
    sha256_hash(digests.bytes + SHA256_DIGEST, SHA256_DIGEST, digests.bytes + SHA256_DIGEST);
    must_equal(digests.bytes, digests.bytes + SHA256_DIGEST, SHA256_DIGEST, "sha256");
    free(message.memory);
    free(digests.memory);
}

static void try_pairs(size_t count, enum sha256_level level)
{
    struct block pairs = anywhere(count * SHA256_BLOCK), digests = anywhere(count * SHA256_DIGEST);

    sha256_select(level);
    sha256_pairs(pairs.bytes, count, digests.bytes);
    sha256_select(SHA256_PORTABLE);
    for (size_t i = 0; i < count; i++) {
        uint8_t expected[SHA256_DIGEST];
        sha256_twice(pairs.bytes + i * SHA256_BLOCK, SHA256_BLOCK, expected);
        must_equal(digests.bytes + i * SHA256_DIGEST, expected, SHA256_DIGEST, "sha256_pairs");
    }
    sha256_select(level);
    sha256_pairs(pairs.bytes, count, pairs.bytes); /* in place */
    must_equal(pairs.bytes, digests.bytes, count * SHA256_DIGEST, "sha256_pairs in place");
    free(pairs.memory);
    free(digests.memory);
}

static void try_tree(size_t count, size_t index, enum sha256_level level)
{
    const size_t room = (count + 1) * SHA256_DIGEST;
    struct block hashes = anywhere(room), copy = copy_of(hashes, room), branch = anywhere(8 * SHA256_DIGEST);
    uint8_t root[SHA256_DIGEST], leaf[SHA256_DIGEST];

    memcpy(leaf, hashes.bytes + index * SHA256_DIGEST, sizeof leaf);
    sha256_select(level);
    merkle_root(hashes.bytes, count, root);
    const size_t length = merkle_branch(copy.bytes, count, index, branch.bytes);
    sha256_select(SHA256_PORTABLE);
    for (size_t i = 0; i < length; i++, index /= 2)
        merkle_step(leaf, branch.bytes + i * SHA256_DIGEST, (int)(index % 2));
    must_equal(leaf, root, sizeof leaf, "merkle tree");
    free(hashes.memory);
    free(copy.memory);
    free(branch.memory);
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    state = strtoull(arguments[1], NULL, 10);

    sha256_init();
    sha256_init(); /* may be called again */
    for (int level = 0; level <= (int)sha256_supported(); level++) {
        for (size_t length = 0; length <= LONGEST; length++)
            try_length(length, (enum sha256_level)level);
        for (size_t pairs = 0; pairs <= 9; pairs++)
            try_pairs(pairs, (enum sha256_level)level);
        for (size_t hashes = 1; hashes <= MOST_HASHES; hashes++)
            for (size_t index = 0; index < hashes; index++)
                try_tree(hashes, index, (enum sha256_level)level);
    }
    return 0;
}
