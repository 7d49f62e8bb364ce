# shellcheck shell=bash
# What quickstart and check share: packages, builds, and where guests can run. Sourced from the top folder.
# Progress goes to stderr, each line with the seconds since the start.

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
give_up() { echo "${0##*/}: $*" >&2; exit 1; }

# shellcheck disable=SC2034
packages="meson ninja-build pkg-config gcc libc6-dev make patch perl binutils check libelf-dev libaio-dev libjansson-dev libmicrohttpd-dev
    zlib1g-dev musl-tools qemu-system-x86 qemu-system-common busybox-static initramfs-tools-core kmod cpio gzip flex bison bc
    libssl-dev dpkg-dev xz-utils lz4 mmdebstrap uidmap e2fsprogs util-linux linux-source-6.12 python3 python3-pytest python3-yaml curl
    iproute2 openssl nginx-light dnsmasq-base passt"
# shellcheck disable=SC2034
packages_full="zsh fish lintian clang libclang-rt-14-dev clang-tidy clang-format cppcheck shellcheck"

# install_packages NAME...: those that are not there yet, as root or by sudo.
install_packages() {
    local missing sudo=()
    command -v dpkg-query >/dev/null || give_up "this is not Debian: install what lab/prepare.sh lists by hand"
    missing=$(comm -23 <(printf '%s\n' "$@" | sort) \
        <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort))
    [ -n "$missing" ] || compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || missing=ca-certificates  # for its lists
    [ -n "$missing" ] || return 0
    missing=$(tr '\n' ' ' <<<"$missing")
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
            give_up "packages are missing, and this user is neither root nor may use sudo. As root: apt-get install $missing"
        fi
        sudo=(sudo)
    fi
    say "installing: $missing"
    quietly "${sudo[@]}" apt-get -q update || give_up "apt-get update failed"
    # shellcheck disable=SC2086
    quietly "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing ||
        give_up "apt-get install failed"
}

# Shows of a long output every fiftieth line, and if it ends badly the last ones.
quietly() {
    local log
    log=$(mktemp)
    if "$@" 2>&1 | tee "$log" | awk 'NR % 50 == 0 { print "        " substr($0, 1, 90); fflush() }' >&2; then
        rm -f "$log"
    else
        tail -n 15 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

# build_programs FOLDER [OPTION...]: with meson's options for a new folder.
build_programs() {
    local folder=$1 log=$1/build.log lwip
    shift
    lwip=$(net/lwip/fetch) || return
    say "building the programs in $folder"
    mkdir -p "$folder"
    if [ ! -f "$folder/build.ninja" ]; then
        meson setup "$folder" -Dlwip="$lwip" "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; return 1; }
    fi
    # Where the source of lwIP is: another place than before, once net/lwip/fetch has changed.
    grep -qs "$lwip/src" "$folder/build.ninja" || meson configure "$folder" -Dlwip="$lwip" || return
    ninja -k 0 -C "$folder" >"$log" 2>&1 || { grep -vE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n 60 >&2; return 1; }
}

# Sets kernel and image: what guests are made of, built or from the user's cache.
# shellcheck disable=SC2034
build_guest() {
    say "the guest's kernel"
    kernel=$(kernel-config/build) || return
    say "the guest's root file system"
    image=$(image/build-root) || return
}

# Sets where: host or lab, and says why in one line.
find_kvm() {
    local found
    if found=$("$1/bin/vmm" --probe); then
        where=host
        say "guests run on this machine: ${found%%$'\n'*}"
    else
        where=lab
        say "guests run in the lab: ${found%%$'\n'*}"
    fi
}

# open_shell: interactive, where a guest can run. The lab has no terminal of its own: it gets one, of this one's size.
open_shell() {
    local settings size status=0
    if [ "$where" = host ]; then
        exec bash --rcfile lab/shellrc -i
    fi
    settings=$(stty -g 2>/dev/null) || give_up "--shell needs a terminal"
    size=$(stty size)
    say "opening the lab; leave it with exit"
    # shellcheck disable=SC2064
    trap "stty '$settings'" EXIT
    stty raw -echo
    lab/run -m 8192 -t 999999 -e TERM -e VMLET_KERNEL -- script -qec \
        "stty rows ${size% *} cols ${size#* }; exec bash --rcfile lab/shellrc -i" /dev/null || status=$?
    return $status
}

# on_kvm [OPTION OF lab/run...] -- COMMAND...: where a guest can run. On the host -t SECONDS and -o are honoured.
on_kvm() {
    local limit=600 out=
    if [ "$where" = lab ]; then
        lab/run "$@"
        return
    fi
    while [ "$1" != -- ]; do
        case $1 in
            -t) limit=$2; shift 2 ;;
            -o) out=$(realpath "$2"); shift 2 ;;
            -e | -c | -m | -u) shift 2 ;;
            *) shift ;;
        esac
    done
    shift
    LAB_OUT=$out timeout --foreground "$limit" "$@"
}
