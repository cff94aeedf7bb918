/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * X11 itself: the chain of the eleven functions, and the choice of their forms by what the processor has.
 */
#ifndef X11_CHAIN_H
#define X11_CHAIN_H

#include <stdint.h>

#include "x11.h"

enum { X11_HEADER = 80, X11_DIGEST = 32, X11_FUNCTIONS = 11 };

/* Sets of instructions; each includes those before it. On x86-64, X11_AES is AES-NI, SSSE3 and SSE4.1; X11_AVX2 has BMI
 * and BMI2 too; X11_AVX512 is its parts F, VL, BW and DQ. All 64-bit ARM processors have NEON; some have AES. */
#if X11_X86
enum x11_level { X11_PORTABLE, X11_AES, X11_AVX2, X11_AVX512, X11_LEVELS };
#elif X11_AARCH64
enum x11_level { X11_PORTABLE, X11_NEON, X11_AES, X11_LEVELS };
#else
enum x11_level { X11_PORTABLE, X11_LEVELS };
#endif

extern const char *const x11_level_names[X11_LEVELS];

typedef void x11_any_length(const uint8_t *message, size_t length, uint8_t *digest);
typedef void x11_fixed_length(const uint8_t *message, uint8_t *digest);
typedef void x11_four_messages(const uint8_t *const in[4], uint8_t *const out[4]);

/* One of the functions. A level that has no form of its own is NULL: the one before it is used. */
struct x11_function {
    const char *name;
    size_t length; /* of the messages that `fixed` and `four` hash */
    x11_any_length *any;
    x11_fixed_length *fixed[X11_LEVELS];
    x11_four_messages *four[X11_LEVELS]; /* from X11_AVX2 on, if that exists; all may be NULL */
};

extern const struct x11_function x11_functions[X11_FUNCTIONS];

/* The highest level of this processor, as far as this program was compiled for it. */
enum x11_level x11_supported(void);

/* Use the forms of a level that the processor has. x11_init selects the highest. Not while another thread hashes. */
void x11_select(enum x11_level level);

/* The level of the form that is used for a function. */
enum x11_level x11_used(int function);

/* Hash with one function, by the form that is used. */
void x11_hash_fixed(int function, const uint8_t *message, uint8_t digest[64]);
void x11_hash_four(int function, const uint8_t *const in[4], uint8_t *const out[4]);

/* Hash headers of 80 bytes; a digest has 32. */
void x11_hash(const uint8_t header[X11_HEADER], uint8_t digest[X11_DIGEST]);
void x11_hash_many(const uint8_t *const *headers, size_t count, uint8_t *digests);

#endif
