# shellcheck shell=bash disable=SC1091,SC2154
# What the benches' commands share: makes what is missing, runs the bench where KVM works. Sourced from the top folder.
. lab/prepare.sh

usage() { sed -n '3,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2; exit 2; }

# Sets build, kernel, image, where. VMLET_BUILD names a build folder that is taken as it is.
prepare() {
    build=${VMLET_BUILD:-build}
    command -v qemu-system-x86_64 >/dev/null || give_up "the peer is missing: install the Debian package qemu-system-x86"
    [ "${VMLET_BUILD-}" ] || build_programs "$build" || give_up "the programs do not build"
    build_guest || give_up "the guest does not build"
    find_kvm "$build"
}

# bench NAME [ARG...]: runs bench/NAME.py; what it writes to $LAB_OUT is in $out afterwards.
bench() {
    local name=$1
    shift
    mkdir -p "$out"
    on_kvm -i -t 900 -o "$out" -- /usr/bin/python3 "bench/$name.py" --where "$where" --build "$build" \
        --kernel "$kernel" "$@" </dev/null
    say "written: $(cd "$out" && echo "$PWD/$name".*)"
}
