# shellcheck shell=bash
# Builds the Debian package, looks at what is in it, and runs a sandbox from its files where guests can run.
# Sourced by ./check: tool, report and on_kvm are its.

package_suite() {
    local deb root=build/check/package list name
    rm -rf "$root" && mkdir -p "$root"
    deb=$(packaging/build-deb) || { report failed build-deb; return; }
    report passed build-deb
    list=$(dpkg-deb -c "$deb")
    for name in bin/vmm bin/vmlet libexec/vmlet/vmm-api libexec/vmlet/vmlet-net libexec/vmlet/vmlinux libexec/vmlet/initramfs.cpio share/man/man1/vmlet.1.gz \
        share/man/man1/vmlet-run.1.gz share/bash-completion/completions/vmlet share/zsh/vendor-completions/_vmlet \
        share/fish/vendor_completions.d/vmlet.fish share/doc/vmlet/copyright; do
        tool "has /usr/$name" grep -q " \./usr/$name\$" <<<"$list"
    done
    tool "nothing outside /usr" test -z "$(awk '$6 !~ "^./usr/|^./$" { print }' <<<"$list")"
    tool lintian lintian --allow-root --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$deb"
    dpkg-deb -x "$deb" "$root"
    # Its own kernel and initramfs are found beside its programs: nothing of the source tree or the cache is needed.
    # shellcheck disable=SC2016,SC2154
    tool "a sandbox from its files" on_kvm -c 1 -m 4096 -t 200 -e IMAGE -- sh -c '
        set -e
        mkdir -m 700 /tmp/run /tmp/home
        export XDG_RUNTIME_DIR=/tmp/run HOME=/tmp/home XDG_DATA_HOME=/tmp/home XDG_CACHE_HOME=/tmp/home
        unset VMLET_KERNEL
        vmlet=$PWD/'$root'/usr/bin/vmlet
        test "$($vmlet run --rm "$IMAGE" -- echo from the package)" = "from the package"
        $vmlet doctor -q' </dev/null
}
