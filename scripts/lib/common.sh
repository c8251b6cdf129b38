# Shared by every shell script here: paths, messages, and the namespace that commands run in.
# shellcheck shell=bash
set -euo pipefail

# An ordinary user's PATH lacks what only root of the namespace uses, as chroot.
PATH=$PATH:/usr/sbin:/sbin
SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
REPO=$(dirname "$SCRIPTS")
CACHE=${NETCHANNEL2_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/netchannel2}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd -P)
ROOT=$CACHE/root
STAMPS=$CACHE/stamps
LOGS=$CACHE/log
IMAGES=$CACHE/images
mkdir -p "$STAMPS" "$LOGS" "$IMAGES"

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# in_namespace CMD…: runs CMD as root, or as what a user namespace calls root, with mounts of its own.
#
# Packages own files by several ids, so a user needs the range of ids that --map-auto takes from /etc/subuid.
in_namespace() {
    if [ "$(id -u)" = 0 ]; then
        unshare --mount --propagation private -- true 2>/dev/null ||
            die "root has no leave to make mount namespaces here, as in an unprivileged container: it needs CAP_SYS_ADMIN (docker run --privileged)"
        unshare --mount --propagation private -- "$@"
    elif unshare --mount --map-root-user --map-auto -- true 2>/dev/null; then
        unshare --mount --map-root-user --map-auto -- "$@"
    elif ! unshare --mount --map-root-user -- true 2>/dev/null; then
        die "needs root or unprivileged user namespaces, and this user has neither (see sysctl user.max_user_namespaces)"
    elif ! unshare --help | grep -q -e --map-auto; then
        die "unshare lacks --map-auto: run as root, or install util-linux 2.38 or later ($(unshare --version))"
    else
        die "this user has no range of ids for a user namespace: run as root, or install uidmap and enter $(id -un) in /etc/subuid and /etc/subgid"
    fi
}

# kill_tree PID: ends it and all that it started.
kill_tree() { kill -KILL $(tree "$1") 2>/dev/null || true; }
# tree PID: prints it and all that it started, each made to stand still first, so that it starts no more meanwhile.
tree() {
    local child
    kill -STOP "$1" 2>/dev/null || return 0
    echo "$1"
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do tree "$child"; done
}

# The release of the stock kernel that the packages step chose, and what derives from it.
kernel_release() {
    [ -s "$CACHE/release" ] || die "no kernel chosen yet: run scripts/setup"
    cat "$CACHE/release"
}
headers_dir() { echo "$ROOT/usr/src/linux-headers-$(kernel_release)"; }
source_dir() { echo "$CACHE/src/linux-$(kernel_release)"; }
stock_tree() { echo "$CACHE/build/stock-$(kernel_release)"; }
kunit_tree() { echo "$CACHE/build/kunit-$(kernel_release)"; }

# kbuild TREE ARG…: the kernel's make on an O= tree, inside the root.
#
# CC is spelled as Debian spells it, because CC_VERSION_TEXT is part of the configuration and another spelling rewrites it.
kbuild() {
    local tree=$1
    shift
    "$SCRIPTS/in-root" make -C "$(source_dir)" O="$tree" ARCH=x86 CROSS_COMPILE=x86_64-linux-gnu- \
        CC=x86_64-linux-gnu-gcc-14 -j"$(nproc)" "$@"
}
