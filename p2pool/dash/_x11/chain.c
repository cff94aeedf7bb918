/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * X11 itself: the chain of the eleven functions, and the choice of their forms by what the processor has.
 */
#include "chain.h"

#include <string.h>

#if X11_AARCH64
#include <sys/auxv.h>
#endif

/* The forms of a function, for each level that has one: by the instructions for AES, by wide registers, or by both.
 * FOUR is for four messages. */
#if X11_X86
#define LEVEL_NAMES {"portable", "aes", "avx2", "avx512"}
#define AES(name) {x11_##name, [X11_AES] = x11_##name##_aes}
#define WIDE(name) {x11_##name, [X11_AVX2] = x11_##name##_avx2, [X11_AVX512] = x11_##name##_avx512}
#define AES_AND_WIDE(name) \
    {x11_##name, [X11_AES] = x11_##name##_aes, [X11_AVX2] = x11_##name##_avx2, [X11_AVX512] = x11_##name##_avx512}
#define X86_WIDE(name) WIDE(name)
#define FOUR(name) {[X11_AVX2] = x11_##name##_x4, [X11_AVX512] = x11_##name##_x4_avx512}
#define FOUR_AVX2(name) {[X11_AVX2] = x11_##name##_x4}
#else
#if X11_AARCH64
#define LEVEL_NAMES {"portable", "neon", "aes"}
#define AES(name) {x11_##name, [X11_AES] = x11_##name##_aes}
#define WIDE(name) {x11_##name, [X11_NEON] = x11_##name##_neon}
#else
#define LEVEL_NAMES {"portable"}
#define AES(name) {x11_##name}
#define WIDE(name) {x11_##name}
#endif
#define AES_AND_WIDE(name) AES(name)
#define X86_WIDE(name) {x11_##name}
#define FOUR(name) {NULL}
#define FOUR_AVX2(name) {NULL}
#endif

const char *const x11_level_names[X11_LEVELS] = LEVEL_NAMES;

const struct x11_function x11_functions[X11_FUNCTIONS] = {
    {"blake", X11_HEADER, x11_blake, {x11_blake_80}, FOUR(blake_80)},
    {"bmw", 64, x11_bmw, {x11_bmw_64}, FOUR_AVX2(bmw_64)},
    {"groestl", 64, x11_groestl, AES_AND_WIDE(groestl_64), FOUR(groestl_64)},
    {"skein", 64, x11_skein, {x11_skein_64}, FOUR(skein_64)},
    {"jh", 64, x11_jh, WIDE(jh_64), FOUR(jh_64)},
    {"keccak", 64, x11_keccak, X86_WIDE(keccak_64), FOUR(keccak_64)},
    {"luffa", 64, x11_luffa, X86_WIDE(luffa_64), FOUR(luffa_64)},
    {"cubehash", 64, x11_cubehash, WIDE(cubehash_64), FOUR(cubehash_64)},
    {"shavite", 64, x11_shavite, AES(shavite_64), FOUR(shavite_64)},
    {"simd", 64, x11_simd, X86_WIDE(simd_64), FOUR(simd_64)},
    {"echo", 64, x11_echo, AES(echo_64), {NULL}},
};

static enum x11_level used[X11_FUNCTIONS];
static x11_fixed_length *forms[X11_FUNCTIONS];
static x11_four_messages *forms_of_four[X11_FUNCTIONS];

enum x11_level x11_supported(void)
{
#if X11_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.1"))
        return X11_PORTABLE;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return X11_AES;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq"))
        return X11_AVX2;
    return X11_AVX512;
#elif X11_AARCH64
    return getauxval(AT_HWCAP) & HWCAP_AES ? X11_AES : X11_NEON;
#else
    return X11_PORTABLE;
#endif
}

void x11_select(enum x11_level level)
{
    for (int i = 0; i < X11_FUNCTIONS; i++) {
        used[i] = level;
        while (x11_functions[i].fixed[used[i]] == NULL)
            used[i]--;
        forms[i] = x11_functions[i].fixed[used[i]];
        forms_of_four[i] = NULL;
        for (int at_most = 0; at_most <= (int)level; at_most++)
            if (x11_functions[i].four[at_most] != NULL)
                forms_of_four[i] = x11_functions[i].four[at_most];
    }
}

enum x11_level x11_used(int function)
{
    return used[function];
}

void x11_init(void)
{
    x11_groestl_init();
    x11_skein_init();
    x11_jh_init();
    x11_keccak_init();
    x11_luffa_init();
    x11_cubehash_init();
    x11_shavite_init();
    x11_simd_init();
    x11_echo_init();
    x11_select(x11_supported());
}

void x11_hash_fixed(int function, const uint8_t *message, uint8_t digest[64])
{
    forms[function](message, digest);
}

void x11_hash_four(int function, const uint8_t *const in[4], uint8_t *const out[4])
{
    if (forms_of_four[function] != NULL) {
        forms_of_four[function](in, out);
        return;
    }
    for (int i = 0; i < 4; i++)
        forms[function](in[i], out[i]);
}

void x11_hash(const uint8_t header[X11_HEADER], uint8_t digest[X11_DIGEST])
{
    uint8_t state[64];

    forms[0](header, state);
    for (int i = 1; i < X11_FUNCTIONS; i++)
        forms[i](state, state);
    memcpy(digest, state, X11_DIGEST);
}

static void hash_four_headers(const uint8_t *const headers[4], uint8_t digests[4 * X11_DIGEST])
{
    uint8_t states[4][64];
    uint8_t *const out[4] = {states[0], states[1], states[2], states[3]};
    const uint8_t *const in[4] = {states[0], states[1], states[2], states[3]};

    x11_hash_four(0, headers, out);
    for (int i = 1; i < X11_FUNCTIONS; i++)
        x11_hash_four(i, in, out);
    for (int i = 0; i < 4; i++)
        memcpy(digests + i * X11_DIGEST, states[i], X11_DIGEST);
}

void x11_hash_many(const uint8_t *const *headers, size_t count, uint8_t *digests)
{
    size_t done = 0;
    if (forms_of_four[0] != NULL)
        for (; count - done >= 4; done += 4)
            hash_four_headers(headers + done, digests + done * X11_DIGEST);
    for (; done < count; done++)
        x11_hash(headers[done], digests + done * X11_DIGEST);
}
