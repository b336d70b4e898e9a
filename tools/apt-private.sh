#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches Debian packages without installing them or touching the machine's own apt set-up: a private apt root in the
# cache takes mirror, proxy and keys from the machine's configuration, and apt checks every signature as usual.
#
#   apt-private.sh source  SUITE      PACKAGE DIR    a source package's upstream tarball into DIR, checked; prints its name
#   apt-private.sh binary  SUITE:ARCH PACKAGE DIR    the .deb into DIR; prints its name
#   apt-private.sh depends SUITE:ARCH PACKAGE DIR    as binary, but the first package that PACKAGE (a metapackage) needs
# SUITE or ARCH "-" is the machine's own.
set -eu

cache=${SAGUARO_CACHE:-${HOME:-/root}/.cache/saguaro}

usage() {
    sed -n '/^#   /s/^# *//p' "$0" >&2
    exit 2
}

[ $# -eq 4 ] || usage
kind=$1 suite=${2%%:*} package=$3 out=$4
arch=-
case $2 in *:*) arch=${2#*:} ;; esac
case $kind in source | binary | depends) ;; *) usage ;; esac

own_suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ "$suite" != - ] || suite=$own_suite
[ "$arch" != - ] || arch=$(dpkg --print-architecture)

# The mirror that the machine uses for its own release: "<uri> <suite>" of every configured index.
targets=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)' 'Created-By: Packages')
mirror=$(echo "$targets" | awk -v s="$own_suite" '$2 == s && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then
    echo "apt-private.sh: no 'main' component of Debian $own_suite is configured in this machine's apt sources" >&2
    exit 1
fi
# The point-release suite's fixes matter for binary packages of the own suite: use the security archive too if configured.
security=$(echo "$targets" | awk -v s="$own_suite-security" '$2 == s && $3 == "main" { print $1; exit }')

# The keyring that the sources name, else Debian's, else what apt trusts anyway.
keyring=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n 's/^Signed-By: *\(\/[^ ]*\) *$/\1/p; s/^deb .*signed-by=\(\/[^] ]*\).*/\1/p' | grep -m 1 debian || true)
[ -n "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
[ ! -r "$keyring" ] || signed="signed-by=$keyring"

root=$cache/apt/$suite-$arch
mkdir -p "$root/lists/partial" "$root/archives/partial" "$root/sources.d" "$out"
# One user of the root at a time.
exec 9>"$root/lock"
flock 9
: >"$root/status"
type=deb
[ "$kind" != source ] || type=deb-src
{
    echo "$type [arch=$arch $signed] $mirror $suite main"
    if [ "$suite" = "$own_suite" ] && [ -n "$security" ]; then
        echo "$type [arch=$arch $signed] $security $suite-security main"
    fi
} >"$root/$type.list.new"

main_only=no
private_apt() {
    command=$1
    shift
    list=$root/$type.list
    [ "$main_only" = no ] || list=$root/$type.main.list
    "$command" -q -o Acquire::Retries=3 -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
        -o APT::Sandbox::User="" -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts="$root/sources.d" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$root/sources.d" \
        -o Dir::State="$root" -o Dir::State::status="$root/status" -o Dir::State::lists="$root/lists-$type" \
        -o Dir::Cache="$root" -o Dir::Cache::archives="$root/archives" \
        -o Dir::Cache::pkgcache="" -o Dir::Cache::srcpkgcache="" -o Acquire::Languages=none "$@"
}

# Lists older than a day, or of another mirror, are fetched again.
mkdir -p "$root/lists-$type/partial"
if ! cmp -s "$root/$type.list.new" "$root/$type.list" ||
    [ -z "$(find "$root/$type.updated" -mmin -1440 2>/dev/null)" ]; then
    mv "$root/$type.list.new" "$root/$type.list"
    rm -f "$root/$type.updated"
    # A security archive that is in the middle of its own update need not stop us: the release itself has every package.
    if ! private_apt apt-get update >&2; then
        grep -v -e '-security main$' "$root/$type.list" >"$root/$type.main.list"
        main_only=yes
        private_apt apt-get update >&2
    fi
    echo "$main_only" >"$root/$type.main_only"
    touch "$root/$type.updated"
fi
rm -f "$root/$type.list.new"
main_only=$(cat "$root/$type.main_only")

cd "$out"
if [ "$kind" = source ]; then
    # A mirror may lack the small Debian part; the upstream tarball is what counts, so it is checked here against the
    # checksum in the signed index whether or not the whole package came.
    private_apt apt-get source --print-uris "$package" |
        sed -n "s/^'.*' \([^ ]*\.orig\.tar\.[a-z0-9]*\) [0-9]* SHA256:\([0-9a-f]*\)$/\2  \1/p" >"$package.sha256"
    if [ ! -s "$package.sha256" ]; then
        echo "apt-private.sh: no source package $package in $suite" >&2
        exit 1
    fi
    private_apt apt-get source --download-only "$package" >&2 || true
    sha256sum --check --strict "$package.sha256" >&2
    sed 's/^[0-9a-f]*  //' "$package.sha256"
else
    if [ "$kind" = depends ]; then
        package=$(private_apt apt-cache depends --important "$package" | sed -n 's/^ *Depends: *//p' | head -n 1)
    fi
    private_apt apt-get download "$package" >&2
    ls -t "${package}"_*.deb | head -n 1
fi
