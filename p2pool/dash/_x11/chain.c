/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * X11 itself: the chain of the eleven functions, and the choice of their forms by what the processor has.
 */
#include "chain.h"

#include <string.h>

#if X11_X86
#define X86(form) form
#else
#define X86(form) NULL
#endif

const char *const x11_level_names[X11_LEVELS] = {"portable", "aes", "avx2"};

const struct x11_function x11_functions[X11_FUNCTIONS] = {
    {"blake", X11_HEADER, x11_blake, {x11_blake_80, NULL, NULL}, X86(x11_blake_80_x4)},
    {"bmw", 64, x11_bmw, {x11_bmw_64, NULL, NULL}, X86(x11_bmw_64_x4)},
    {"groestl", 64, x11_groestl, {x11_groestl_64, X86(x11_groestl_64_aes), X86(x11_groestl_64_avx2)},
     X86(x11_groestl_64_x4)},
    {"skein", 64, x11_skein, {x11_skein_64, NULL, NULL}, X86(x11_skein_64_x4)},
    {"jh", 64, x11_jh, {x11_jh_64, NULL, X86(x11_jh_64_avx2)}, X86(x11_jh_64_x4)},
    {"keccak", 64, x11_keccak, {x11_keccak_64, NULL, X86(x11_keccak_64_avx2)}, X86(x11_keccak_64_x4)},
    {"luffa", 64, x11_luffa, {x11_luffa_64, NULL, X86(x11_luffa_64_avx2)}, X86(x11_luffa_64_x4)},
    {"cubehash", 64, x11_cubehash, {x11_cubehash_64, NULL, X86(x11_cubehash_64_avx2)}, X86(x11_cubehash_64_x4)},
    {"shavite", 64, x11_shavite, {x11_shavite_64, X86(x11_shavite_64_aes), NULL}, X86(x11_shavite_64_x4)},
    {"simd", 64, x11_simd, {x11_simd_64, NULL, X86(x11_simd_64_avx2)}, X86(x11_simd_64_x4)},
    {"echo", 64, x11_echo, {x11_echo_64, X86(x11_echo_64_aes), NULL}, NULL},
};

static enum x11_level selected;
static enum x11_level used[X11_FUNCTIONS];
static x11_fixed_length *forms[X11_FUNCTIONS];

enum x11_level x11_supported(void)
{
#if X11_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.1"))
        return X11_PORTABLE;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return X11_AES;
    return X11_AVX2;
#else
    return X11_PORTABLE;
#endif
}

void x11_select(enum x11_level level)
{
    selected = level;
    for (int i = 0; i < X11_FUNCTIONS; i++) {
        used[i] = level;
        while (x11_functions[i].fixed[used[i]] == NULL)
            used[i]--;
        forms[i] = x11_functions[i].fixed[used[i]];
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
    if (selected == X11_AVX2 && x11_functions[function].four != NULL) {
        x11_functions[function].four(in, out);
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
    if (selected == X11_AVX2)
        for (; count - done >= 4; done += 4)
            hash_four_headers(headers + done, digests + done * X11_DIGEST);
    for (; done < count; done++)
        x11_hash(headers[done], digests + done * X11_DIGEST);
}
