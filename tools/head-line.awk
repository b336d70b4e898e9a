# SPDX-License-Identifier: Apache-2.0
# Prints what "WORD:" in a C file's head comment names (awk -v word=unit-sources -f head-line.awk FILE). WORD may stand
# anywhere in the comment, more than once, and its list may be wrapped over several lines; the list ends at the first word
# that is no file name, no folder and no option.
/^\/\// {
    for (i = 1; i <= NF; i++) {
        if ($i == word ":") {
            on = 1
        } else if ($i == "//") {
            continue
        } else if ($i ~ /:$/ || $i !~ /(\.c$|^-|\/)/) {
            on = 0
        } else if (on) {
            print $i
        }
    }
    next
}
{ exit }
