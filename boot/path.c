// SPDX-License-Identifier: Apache-2.0
// File names: from the config's spelling to a path on the volume or the TFTP server, and text between UTF-8
// and UCS-2.
#include "boot/path.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool is_separator(char c) {
    return c == '/' || c == '\\';
}

static const char *name_fault(const char *name) {
    if (name[0] == '\0') {
        return "the name is empty";
    }
    if (is_separator(name[0])) {
        return "names are relative to the config; this one is absolute";
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '\\') {
            return "directories are separated by /, not by a backslash";
        }
        if (*c == ':') {
            return "a name has no colon (no drive letters, no URLs)";
        }
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return "the name has a control character";
        }
    }
    return NULL;
}

/* Append the components of `from`, which are those between separators, without "." and empty ones. */
static int append_components(const char *from, char separator, bool is_name, char *out, size_t out_size,
                             size_t *length, const char **why) {
    const char *c = from;

    while (*c != '\0') {
        size_t n = 0;

        while (is_separator(*c)) {
            c++;
        }
        while (c[n] != '\0' && !is_separator(c[n])) {
            n++;
        }
        if (n == 0 || (n == 1 && c[0] == '.')) {
            c += n;
            continue;
        }
        if (is_name && n == 2 && c[0] == '.' && c[1] == '.') {
            *why = "a file outside the config's directory (..) cannot be named";
            return -EINVAL;
        }
        if (*length != 0 && out[*length - 1] != separator) {
            if (*length + 1 >= out_size) {
                return -ENAMETOOLONG;
            }
            out[(*length)++] = separator;
        }
        if (n >= out_size - *length) {
            return -ENAMETOOLONG;
        }
        memcpy(out + *length, c, n);
        *length += n;
        c += n;
    }
    out[*length] = '\0';
    return 0;
}

int path_join(const char *dir, const char *name, char separator, char *out, size_t out_size,
              const char **why) {
    size_t length = 0;
    size_t before;
    int error;

    *why = name_fault(name);
    if (*why != NULL) {
        return -EINVAL;
    }
    *why = "the name is too long";
    if (out_size < 2) {
        return -ENAMETOOLONG;
    }
    if (is_separator(dir[0])) {
        out[length++] = separator;
    }
    out[length] = '\0';
    error = append_components(dir, separator, false, out, out_size, &length, why);
    if (error) {
        return error;
    }
    before = length;
    error = append_components(name, separator, true, out, out_size, &length, why);
    if (!error && length == before) {
        *why = "the name has no file in it";
        error = -EINVAL;
    }
    if (!error && is_separator(name[strlen(name) - 1])) {
        *why = "the name ends like a directory";
        error = -EINVAL;
    }
    return error;
}

void path_cut_to_directory(char *path) {
    size_t length = strlen(path);

    while (length > 0 && !is_separator(path[length - 1])) {
        length--;
    }
    if (length > 1) {
        length--;
    }
    path[length] = '\0';
}

/* Decode one character at `text`; *used is its length in bytes. Malformed: '?', one byte used. */
static uint32_t utf8_decode(const unsigned char *text, size_t *used) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t value = text[0];
    size_t length;

    *used = 1;
    if (value < 0x80) {
        return value;
    } else if ((value & 0xe0) == 0xc0) {
        length = 2;
        value &= 0x1f;
    } else if ((value & 0xf0) == 0xe0) {
        length = 3;
        value &= 0x0f;
    } else if ((value & 0xf8) == 0xf0) {
        length = 4;
        value &= 0x07;
    } else {
        return '?';
    }
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) { /* the terminating NUL ends a sequence too */
            return '?';
        }
        value = value << 6 | (text[i] & 0x3f);
    }
    if (value < smallest[length] || (value >= 0xd800 && value < 0xe000)) {
        return '?';
    }
    *used = length;
    return value;
}

size_t path_ucs2_from_utf8(const char *text, uint16_t *out, size_t out_units) {
    const unsigned char *c = (const unsigned char *)text;
    size_t units = 0;

    if (out_units == 0) {
        return 0;
    }
    while (*c != '\0' && units + 1 < out_units) {
        size_t used;
        uint32_t value = utf8_decode(c, &used);

        out[units++] = value > 0xffff ? '?' : (uint16_t)value;
        c += used;
    }
    out[units] = 0;
    return units;
}

int path_ascii_from_ucs2(const uint16_t *text, size_t units, char *out, size_t out_size) {
    size_t length = 0;

    for (size_t i = 0; i < units && text[i] != 0; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e || length + 1 >= out_size) {
            return -EINVAL;
        }
        out[length++] = (char)text[i];
    }
    if (length >= out_size) {
        return -EINVAL;
    }
    out[length] = '\0';
    return 0;
}
