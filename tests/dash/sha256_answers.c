/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Prints the names of the sets of instructions of this processor, and then a line for each message in hexadecimal, a
 * line of the input: its SHA-256 by each set. test_aarch64.py compiles and runs it.
 */
#include "answers.h"
#include "sha256.h"

int main(void)
{
    static char line[LONGEST_LINE];
    static uint8_t message[LONGEST_LINE / 2];
    uint8_t digest[SHA256_DIGEST];

    for (int level = 0; level <= (int)sha256_supported(); level++)
        printf("%s ", sha256_level_names[level]);
    puts("");
    while (fgets(line, sizeof line, stdin) != NULL) {
        const size_t length = from_hex(line, message);
        for (int level = 0; level <= (int)sha256_supported(); level++) {
            sha256_select((enum sha256_level)level);
            sha256_hash(message, length, digest);
            print_hex(digest, sizeof digest, " ");
        }
        puts("");
    }
    return 0;
}
