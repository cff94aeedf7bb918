/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The eleven hash functions of X11, the proof of work of Dash, and their chain.
 *
 * Each function has these entry points:
 *
 *   x11_NAME        hashes a message of any length: for tests against published vectors
 *   x11_NAME_64     hashes exactly 64 bytes, in portable C (x11_blake_80: 80 bytes, the header)
 *   x11_NAME_64_aes, x11_NAME_64_avx2
 *                   the same for processors that have instructions for AES, or AVX2 as well
 *   x11_NAME_64_neon
 *                   the same for 64-bit ARM processors
 *   x11_NAME_64_x4  hashes four messages of 64 bytes side by side; needs AVX2
 *   x11_NAME_64_avx512, x11_NAME_64_x4_avx512
 *                   the forms for AVX2, compiled for AVX-512: see targets.h
 *
 * `out` may be the same memory as the input. x11_init must have been called once before any of them.
 */
#ifndef X11_H
#define X11_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define X11_X86 1
#else
#define X11_X86 0
#endif
#if defined(__AARCH64EL__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define X11_AARCH64 1
#else
#define X11_AARCH64 0
#endif

#define X11_DECLARE(name) void x11_##name(const uint8_t *message, size_t length, uint8_t digest[64])
#define X11_DECLARE_64(name) void x11_##name(const uint8_t message[64], uint8_t digest[64])
#define X11_DECLARE_X4(name) void x11_##name(const uint8_t *const in[4], uint8_t *const out[4])

X11_DECLARE(blake);
X11_DECLARE(bmw);
X11_DECLARE(groestl);
X11_DECLARE(skein);
X11_DECLARE(jh);
X11_DECLARE(keccak);
X11_DECLARE(luffa);
X11_DECLARE(cubehash);
X11_DECLARE(shavite);
X11_DECLARE(simd);
X11_DECLARE(echo);

void x11_blake_80(const uint8_t header[80], uint8_t digest[64]);
X11_DECLARE_64(bmw_64);
X11_DECLARE_64(groestl_64);
X11_DECLARE_64(skein_64);
X11_DECLARE_64(jh_64);
X11_DECLARE_64(keccak_64);
X11_DECLARE_64(luffa_64);
X11_DECLARE_64(cubehash_64);
X11_DECLARE_64(shavite_64);
X11_DECLARE_64(simd_64);
X11_DECLARE_64(echo_64);

#if X11_X86 || X11_AARCH64
X11_DECLARE_64(groestl_64_aes);
X11_DECLARE_64(shavite_64_aes);
X11_DECLARE_64(echo_64_aes);
#endif

#if X11_AARCH64
X11_DECLARE_64(jh_64_neon);
X11_DECLARE_64(cubehash_64_neon);
#endif

#if X11_X86
X11_DECLARE_64(groestl_64_avx2);
X11_DECLARE_64(jh_64_avx2);
X11_DECLARE_64(keccak_64_avx2);
X11_DECLARE_64(luffa_64_avx2);
X11_DECLARE_64(cubehash_64_avx2);
X11_DECLARE_64(simd_64_avx2);

X11_DECLARE_X4(blake_80_x4);
X11_DECLARE_X4(bmw_64_x4);
X11_DECLARE_X4(groestl_64_x4);
X11_DECLARE_X4(skein_64_x4);
X11_DECLARE_X4(jh_64_x4);
X11_DECLARE_X4(keccak_64_x4);
X11_DECLARE_X4(luffa_64_x4);
X11_DECLARE_X4(cubehash_64_x4);
X11_DECLARE_X4(shavite_64_x4);
X11_DECLARE_X4(simd_64_x4);

X11_DECLARE_64(groestl_64_avx512);
X11_DECLARE_64(jh_64_avx512);
X11_DECLARE_64(keccak_64_avx512);
X11_DECLARE_64(luffa_64_avx512);
X11_DECLARE_64(cubehash_64_avx512);
X11_DECLARE_64(simd_64_avx512);

X11_DECLARE_X4(blake_80_x4_avx512);
X11_DECLARE_X4(groestl_64_x4_avx512);
X11_DECLARE_X4(skein_64_x4_avx512);
X11_DECLARE_X4(jh_64_x4_avx512);
X11_DECLARE_X4(keccak_64_x4_avx512);
X11_DECLARE_X4(luffa_64_x4_avx512);
X11_DECLARE_X4(cubehash_64_x4_avx512);
X11_DECLARE_X4(shavite_64_x4_avx512);
X11_DECLARE_X4(simd_64_x4_avx512);
#endif

/* Fill the tables that a specification defines by a rule. Each x11_NAME_init may be called again. */
void x11_init(void);
void x11_groestl_init(void);
void x11_skein_init(void);
void x11_jh_init(void);
void x11_keccak_init(void);
void x11_luffa_init(void);
void x11_cubehash_init(void);
void x11_shavite_init(void);
void x11_simd_init(void);
void x11_echo_init(void);

#endif
