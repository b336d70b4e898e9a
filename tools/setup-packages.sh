#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs those of the named Debian packages that are missing, as root or through sudo. Quick when none is missing.
set -eu

[ "${SETUP:-}" != no ] || exit 0

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "Set-up knows Debian 12 and its relatives alone. Install what these Debian packages hold, by your system's own" >&2
    echo "means, and run make with SETUP=no (and LIBFDT_DIR=<folder of libfdt's source>):" >&2
    echo "    $*" >&2
    exit 1
fi

list_missing() {
    for package in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
        installed*) ;;
        *) echo "$package" ;;
        esac
    done
}

# One query answers for all of them when nothing is missing.
installed=$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -c '^installed$' || true)
[ "$installed" -lt $# ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "These Debian packages are missing, and there is neither root nor sudo to install them:" >&2
    echo "    $(list_missing "$@" | tr '\n' ' ')" >&2
    exit 1
fi

lock=${TMPDIR:-/tmp}/saguaro-setup.$(id -u).lock
exec 9>"$lock"
flock 9
missing=$(list_missing "$@")
[ -n "$missing" ] || exit 0

install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends \
        -o DPkg::Lock::Timeout=300 install $missing
}

echo "Installing:" $missing
if ! apt-cache policy $missing 2>/dev/null | grep -q 'Candidate: [^(]' || ! install; then
    $as_root apt-get -q update
    if ! install; then
        echo "apt could not install: $missing" >&2
        exit 1
    fi
fi
