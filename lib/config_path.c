// SPDX-License-Identifier: Apache-2.0
// Which file names a config may have: also the hypervisor's reader holds them to it.
#include "lib/config.h"

#include <string.h>

const char *config_path_problem(const char *path) {
    size_t length = strlen(path), part = 0;

    if (length == 0) {
        return "it is empty";
    }
    if (length > CONFIG_MAX_PATH) {
        return "it is longer than 200 bytes";
    }
    if (path[0] == '/') {
        return "it begins with \"/\"; names are relative to the config's folder";
    }
    for (size_t i = 0; i <= length; i++) {
        char c = path[i];

        if (c == '/' || c == '\0') {
            if (i == part) {
                return c == '/' ? "it has an empty part (\"//\")" : "it ends in \"/\"";
            }
            if (i - part == 2 && path[part] == '.' && path[part + 1] == '.') {
                return "it leaves the config's folder (\"..\")";
            }
            if (i - part == 1 && path[part] == '.') {
                return "it has a part \".\"";
            }
            part = i + 1;
        } else if (c == '\\') {
            return "it has a \"\\\"; parts are separated by \"/\"";
        } else if (c == ':') {
            return "it has a \":\"; drives and addresses cannot be named";
        } else if (c <= ' ' || c > '~') {
            return "it has a space or an unprintable character";
        }
    }
    return NULL;
}
