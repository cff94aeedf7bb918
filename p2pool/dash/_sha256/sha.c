/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHA-256 by the SHA instructions of x86-64 and 64-bit ARM processors. One instruction does two or four rounds, and the
 * next one waits for it; so merkle trees hash two pairs side by side, which takes hardly longer than one.
 */
#include "sha256.h"

#if SHA256_X86
#include "x86.h"
#elif SHA256_AARCH64
#include "aarch64.h"
#endif

#if SHA256_X86 || SHA256_AARCH64

#define UNROLL _Pragma("GCC unroll 16")

/* Four words, of which two are zero. */
INLINE four_words first_and_last(uint32_t first, uint32_t last)
{
    const uint32_t words[4] = {first, 0, 0, last};
    return load(words);
}

INLINE struct halves initial(void)
{
    return halves_of(load(sha256_initial), load(sha256_initial + 4));
}

/* Compress one block into each of `lanes` states; `words` are the blocks' words, four registers a block. */
INLINE void compress(int lanes, struct halves *states, four_words *words)
{
    struct halves before[2];

    UNROLL for (int lane = 0; lane < lanes; lane++)
        before[lane] = states[lane];
    UNROLL for (int i = 0; i < 16; i++) {
        const four_words constants = load(sha256_constants + 4 * i);
        UNROLL for (int lane = 0; lane < lanes; lane++) {
            four_words *const w = words + 4 * lane;
            if (i >= 4)
                w[i % 4] = next_words(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
            four_rounds(states + lane, add(w[i % 4], constants));
        }
    }
    UNROLL for (int lane = 0; lane < lanes; lane++)
        states[lane] = add_halves(states[lane], before[lane]);
}

FOR_SHA void sha256_compress_sha(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    struct halves halves = halves_of(load(state), load(state + 4));
    four_words words[4], dcba, hgfe;

    for (; count; count--, blocks += SHA256_BLOCK) {
        UNROLL for (int i = 0; i < 4; i++)
            words[i] = swap_bytes(load(blocks + 16 * i));
        compress(1, &halves, words);
    }
    words_of(halves, &dcba, &hgfe);
    store(state, dcba);
    store(state + 4, hgfe);
}

/* Hash `lanes` pairs twice. */
INLINE void pairs_side_by_side(int lanes, const uint8_t *pairs, uint8_t *digests)
{
    struct halves states[2];
    four_words words[8];

    UNROLL for (int lane = 0; lane < lanes; lane++)
        states[lane] = initial();
    UNROLL for (int i = 0; i < 4 * lanes; i++)
        words[i] = swap_bytes(load(pairs + 16 * i));
    compress(lanes, states, words);
    UNROLL for (int lane = 0; lane < lanes; lane++) {
        /* The end of a message of 64 bytes. */
        words[4 * lane] = first_and_last(0x80000000, 0);
        words[4 * lane + 1] = words[4 * lane + 2] = first_and_last(0, 0);
        words[4 * lane + 3] = first_and_last(0, 8 * SHA256_BLOCK);
    }
    compress(lanes, states, words);
    UNROLL for (int lane = 0; lane < lanes; lane++) {
        words_of(states[lane], &words[4 * lane], &words[4 * lane + 1]);
        words[4 * lane + 2] = first_and_last(0x80000000, 0);
        words[4 * lane + 3] = first_and_last(0, 8 * SHA256_DIGEST);
        states[lane] = initial();
    }
    compress(lanes, states, words);
    UNROLL for (int lane = 0; lane < lanes; lane++) {
        four_words dcba, hgfe;
        words_of(states[lane], &dcba, &hgfe);
        store(digests + SHA256_DIGEST * lane, swap_bytes(dcba));
        store(digests + SHA256_DIGEST * lane + 16, swap_bytes(hgfe));
    }
}

FOR_SHA void sha256_pairs_sha(const uint8_t *pairs, size_t count, uint8_t *digests)
{
    for (; count >= 2; count -= 2, pairs += 2 * SHA256_BLOCK, digests += 2 * SHA256_DIGEST)
        pairs_side_by_side(2, pairs, digests);
    if (count)
        pairs_side_by_side(1, pairs, digests);
}

#endif
