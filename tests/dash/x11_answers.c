/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Prints the names of the sets of instructions of this processor, and then a line for each line of the input: "x11" and
 * a header in hexadecimal makes the X11 hashes by each set, the name of a function and a message its digest by the
 * general form. test_aarch64.py compiles and runs it.
 */
#include "answers.h"
#include "chain.h"

#include <string.h>

static void print_hashes(const uint8_t header[X11_HEADER])
{
    uint8_t digest[X11_DIGEST];

    for (int level = 0; level <= (int)x11_supported(); level++) {
        x11_select((enum x11_level)level);
        x11_hash(header, digest);
        print_hex(digest, sizeof digest, " ");
    }
    puts("");
}

int main(void)
{
    static char line[LONGEST_LINE];
    static uint8_t message[LONGEST_LINE / 2];
    uint8_t digest[64];

    x11_init();
    for (int level = 0; level <= (int)x11_supported(); level++)
        printf("%s ", x11_level_names[level]);
    puts("");
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *space = strchr(line, ' ');
        if (space == NULL)
            return 2;
        *space = '\0';
        const size_t length = from_hex(space + 1, message);
        if (strcmp(line, "x11") == 0 && length == X11_HEADER)
            print_hashes(message);
        for (int i = 0; i < X11_FUNCTIONS; i++)
            if (strcmp(line, x11_functions[i].name) == 0) {
                x11_functions[i].any(message, length, digest);
                print_hex(digest, sizeof digest, "\n");
            }
    }
    return 0;
}
