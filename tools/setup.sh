#!/usr/bin/env bash
# tools/setup.sh [--system | --tests] [--parts] [-- COMMAND...]
#
# Brings this checkout into a state in which it runs, as little as that takes, then runs COMMAND in the virtual
# environment. With --system also the Debian packages that the lab uses, with --tests those that only tests use too, with
# --parts also the programs that tools/parts.sh builds. Safe to interrupt and to run twice at once: the next run finishes
# or repairs. When there is nothing to do it costs some ten milliseconds.
#
#   NETCTL_NO_APT=1   install no Debian package: name what is missing, and how to get it (exit code 3)
#   NETCTL_VENV=DIR   the virtual environment (default: .venv here, or in ~/.cache/netctl when that cannot be written)
#   NETCTL_PYTHON=EXE the Python to build it with (default: python3; 3.11 or newer)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
policy=/usr/sbin/policy-rc.d
policy_saved=$policy.before-netctl
policy_mark="# written by netctl's tools/setup.sh for the time of an installation"

say() { printf '%s\n' "$*" >&2; }

# fail CODE WHAT WHAT-TO-DO
fail() {
    say "netctl: $2"
    say "  hint: $3"
    exit "$1"
}

# Ctrl-C, or what ends a session: also what a command has started ends, and nothing is blamed for it.
worker=
stopped() {
    trap '' INT TERM HUP
    # shellcheck disable=SC2046 # one word for each
    if [ -n "$worker" ]; then kill -KILL $(with_children "$worker") 2>/dev/null || true; fi
    say "netctl: interrupted"
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

# work COMMAND...: in the background, where Python does not see Ctrl-C (its tracebacks help nobody) and `wait` does.
work() {
    local code=0
    "$@" </dev/null >&2 &
    worker=$!
    wait "$worker" || code=$?
    worker=
    return "$code"
}

# --- Debian packages ------------------------------------------------------------------------------------------------

# What is used → the package that has it. FRR's programs live outside PATH.
have() {
    case $1 in
        frr) [ -x /usr/lib/frr/bgpd ] ;;
        ensurepip) find_python >/dev/null 2>&1 && "$(find_python)" -c 'import ensurepip, venv' 2>/dev/null ;;
        *) [ -n "$(PATH="$PATH:/usr/sbin:/sbin" command -v "$1")" ] ;;
    esac
}

missing_packages() {
    local part
    # ensurepip is last: without any Python the look for it ends this.
    for part in bird:bird2 frr:frr ip:iproute2 ps:procps curl:curl etcd:etcd-server etcdctl:etcd-client \
        haproxy:haproxy dig:bind9-dnsutils ${tests:+systemd-analyze:systemd} ensurepip:python3-venv; do
        have "${part%%:*}" || printf '%s\n' "${part#*:}"
    done
}

# No service may start because of an installation: invoke-rc.d asks policy-rc.d, and 101 means no.
forbid_services() {
    restore_services # what a killed run left behind
    if [ -e "$policy" ] || [ -L "$policy" ]; then mv -f "$policy" "$policy_saved"; fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy.new"
    chmod 755 "$policy.new"
    mv -f "$policy.new" "$policy"
}

restore_services() {
    if [ -f "$policy" ] && grep -qxF "$policy_mark" "$policy"; then rm -f "$policy"; fi
    if [ -e "$policy_saved" ] || [ -L "$policy_saved" ]; then mv -f "$policy_saved" "$policy"; fi
    rm -f "$policy.new"
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 "$@" </dev/null >&2
}

# Whether apt's lists name every package.
known_to_apt() {
    local package
    for package in "$@"; do
        [ -n "$(apt-cache show --no-all-versions "$package" 2>/dev/null)" ] || return 1
    done
}

system_packages() {
    local packages command
    if [ "$(id -u)" = 0 ] && grep -qsxF "$policy_mark" "$policy"; then
        exec 8>/run/netctl-setup.lock
        flock 8
        restore_services
        flock -u 8
    fi
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -gt 0 ] || return 0
    command="apt-get install --no-install-recommends ${packages[*]}"
    if [ -n "${NETCTL_NO_APT:-}" ]; then
        fail 3 "these packages are missing, and NETCTL_NO_APT forbids installing them: ${packages[*]}" "as root: $command"
    fi
    [ "$(id -u)" = 0 ] || fail 3 "these packages are missing: ${packages[*]}" "as root: $command"
    command -v apt-get >/dev/null || fail 3 "these programs are missing: ${packages[*]} (Debian's names)" \
        "install them with this system's package manager"

    exec 8>/run/netctl-setup.lock
    flock -n 8 || { say "waiting for another setup to install packages"; flock 8; }
    mapfile -t packages < <(missing_packages) # the other one may have brought them
    if [ ${#packages[@]} -gt 0 ]; then
        say "installing Debian packages that are missing: ${packages[*]} (none of their services is started)"
        trap restore_services EXIT
        forbid_services
        known_to_apt "${packages[@]}" || { say "  apt-get update"; apt update || true; }
        apt install -y --no-install-recommends "${packages[@]}" || {
            # Lists that are too old name files that are gone.
            say "  once more, with fresh lists"
            apt update && apt install -y --no-install-recommends "${packages[@]}"
        } || fail 3 "apt-get could not install ${packages[*]} (its messages are above)" "mend that, or as root: $command"
        restore_services
        trap - EXIT
    fi
    flock -u 8
    exec 8>&-
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -eq 0 ] || fail 3 "still missing after the installation: ${packages[*]}" "as root: $command"
}

# --- virtual environment --------------------------------------------------------------------------------------------

# Everything the environment depends on, in one line.
wanted_stamp() {
    local sums
    sums=$(cat "$here/requirements.lock" "$here/pyproject.toml" | sha256sum)
    printf '%s %s\n' "${sums%% *}" "$here"
}

# complete DIR: it was finished from these very files, and its Python still runs.
complete() {
    [ -r "$1/.netctl-stamp" ] && [ -x "$1/bin/python" ] && [ -x "$1/bin/netctl" ] &&
        [ "$(<"$1/.netctl-stamp")" = "$stamp" ]
}

# may_write DIR: it can be made or changed.
may_write() {
    if [ -e "$1" ]; then [ -d "$1" ] && [ -w "$1" ]; else [ -w "$(dirname "$1")" ]; fi
}

choose_venv() {
    local cache
    if [ -n "${NETCTL_VENV:-}" ]; then
        realpath -m -- "$NETCTL_VENV"
        return
    fi
    if complete "$here/.venv" || may_write "$here/.venv"; then
        printf '%s\n' "$here/.venv"
        return
    fi
    cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}
    case $cache in
        /.cache) ;;
        /*) mkdir -p "$cache/netctl" 2>/dev/null || true ;;
    esac
    [ -w "$cache/netctl" ] || cache=${TMPDIR:-/tmp}/netctl-$(id -u)
    mkdir -p -m 700 "$cache/netctl" 2>/dev/null || true
    [ -O "$cache/netctl" ] && [ -w "$cache/netctl" ] ||
        fail 3 "no place for a virtual environment: neither $here nor $cache can be written" "set NETCTL_VENV=DIR"
    printf '%s\n' "$cache/netctl/venv-$(printf %s "$here" | sha256sum | cut -c1-8)"
}

find_python() {
    local candidate candidates=(python3 python3.13 python3.12 python3.11)
    if [ -n "${NETCTL_PYTHON:-}" ]; then candidates=("$NETCTL_PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail 3 "no Python 3.11 or newer found (tried ${candidates[*]})" "install one, or set NETCTL_PYTHON=EXE"
}

make_environment() {
    local python=$1 venv=$2
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        work "$python" -m venv --clear "$venv"
    elif "$python" -c 'import venv' 2>/dev/null; then
        # Debian keeps ensurepip in a package of its own; pip itself can be had without it.
        say "  this Python has no ensurepip (Debian: package python3-venv); getting pip from the package index"
        work "$python" -m venv --clear --without-pip "$venv" && work "$venv/bin/python" "$here/tools/get_pip.py"
    else
        fail 3 "this Python cannot make virtual environments: $python" "Debian, as root: apt-get install python3-venv"
    fi
}

environment() {
    local python
    complete "$venv" && return
    may_write "$venv" || mkdir -p "$(dirname "$venv")" 2>/dev/null || true
    may_write "$venv" || fail 3 "the virtual environment $venv cannot be written" "set NETCTL_VENV=DIR"
    # Beside the environment, not in it: building it anew empties it.
    exec 9>"$venv.lock"
    flock -n 9 || { say "waiting for another setup of $venv"; flock 9; }
    if ! complete "$venv"; then
        python=$(find_python)
        rm -f "$venv/.netctl-stamp"
        if [ -e "$venv.partial" ] || ! grep -qsF "$venv/bin/python" "$venv/bin/pip" ||
            ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
            # Half done by a run that was killed, moved (its scripts name their Python), or of a Python that is gone.
            # Only ever empty what is such a folder.
            if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$venv.partial" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
                fail 2 "$venv holds something else than a virtual environment" "set NETCTL_VENV to a new folder"
            fi
            say "making a virtual environment: $venv"
            : >"$venv.partial"
            make_environment "$python" "$venv" || fail 3 "no virtual environment could be made (see above)" \
                "Debian, as root: apt-get install python3-venv"
        fi
        : >"$venv.partial"
        say "installing the locked Python packages"
        pip install --require-hashes -r "$here/requirements.lock"
        pip install --no-deps --no-build-isolation -e "$here"
        printf '%s\n' "$stamp" >"$venv/.netctl-stamp.new"
        mv -f "$venv/.netctl-stamp.new" "$venv/.netctl-stamp"
        rm -f "$venv.partial"
    fi
    flock -u 9
    exec 9>&-
}

pip() {
    work "$venv/bin/python" -m pip --disable-pip-version-check --no-input -q "$@" ||
        fail 3 "pip could not do: pip $*" "its messages are above; 'pip config list' shows the package index it uses"
}

# --- main -----------------------------------------------------------------------------------------------------------

system=
tests=
parts=
while [ $# -gt 0 ]; do
    case $1 in
        --system) system=1; shift ;;
        --tests) system=1 tests=1; shift ;;
        --parts) parts=1; shift ;;
        --) shift; break ;;
        *) fail 2 "tools/setup.sh: no such option: $1" "tools/setup.sh [--system | --tests] [--parts] [-- COMMAND...]" ;;
    esac
done

if [ -n "$system" ]; then system_packages; fi
stamp=$(wanted_stamp)
venv=$(choose_venv)
environment
export PATH="$venv/bin:$PATH" VIRTUAL_ENV="$venv"
if [ -n "$parts" ]; then work "$here/tools/parts.sh" || exit $?; fi
if [ $# -gt 0 ]; then
    cd "$here"
    exec "$@"
fi
