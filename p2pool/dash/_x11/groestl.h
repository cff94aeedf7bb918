/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files about Groestl-512 share: "Groestl - a SHA-3 candidate", 2011 (Gauravaram, Knudsen, Matusiewicz,
 * Mendel, Rechberger, Schlaeffer, Thomsen), section 3, for the state of 8 rows and 16 columns.
 */
#ifndef X11_GROESTL_H
#define X11_GROESTL_H

#include "bytes.h"
#include "x11.h"

enum { GROESTL_ROUNDS = 14, GROESTL_BLOCK = 128 };

/* Section 3.4.3: how far each row moves to the left, in P and in Q. */
#define GROESTL_SHIFTS_P {0, 1, 2, 3, 4, 5, 6, 11}
#define GROESTL_SHIFTS_Q {1, 3, 5, 11, 0, 2, 4, 6}

#endif
