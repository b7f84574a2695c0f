#!/usr/bin/env bash
# `make lab`, once everything is set up: the lab up, a provider cut and a VM's server killed, what names and requests felt
# of it, what to try next. The lab stays up. Where CoreDNS and Kubernetes must be built first, the routing half is up and
# measured while they are; when they cannot be built, it ends with that and exit code 3.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
worst=0
parts=

# drill NAME...: the first exit code that is not 0 is this script's.
drill() {
    local code=0
    netctl drill run "$@" || code=$?
    if [ "$worst" = 0 ]; then worst=$code; fi
}

# ask WHEN: the page of each service, by name, from a VM in cloud a.
ask() {
    local service
    printf '\nHTTP requests by name from a-vm1, %s\n' "$1"
    for service in orders ledger; do
        printf '  http://%s.netctl.internal/  ' "$service"
        netctl lab exec a-vm1 -- curl -sS --max-time 3 "http://$service.netctl.internal/" || true
    done
    printf '\n'
}

# What is built in the background ends with us.
stopped() {
    if [ -n "$parts" ]; then kill -TERM "$parts" 2>/dev/null || true; fi
}
trap stopped EXIT

if ! "$here/parts.sh" --check 2>/dev/null; then
    "$here/parts.sh" &
    parts=$!
    netctl lab up --only routing
    drill provider-cut
    code=0
    wait "$parts" || code=$?
    parts=
    if [ "$code" != 0 ]; then
        printf '\n%s\n%s\n' 'The routing half is up and measured, and stays up. There is no naming half: CoreDNS and Kubernetes could not be' \
            'built, for the reason above. Mend it and call make lab again (make parts only builds); netctl lab down ends it all.' >&2
        exit 3
    fi
fi

netctl lab up
ask "all being well: orders is answered in a, ledger is in b alone and crosses a provider"
drill provider-cut
ask "after a provider was cut, and came back"
drill vm-death
ask "after a VM's server was killed, and came back"

# The lines name netctl as this shell can call it.
netctl=$(command -v netctl)
netctl=${netctl#"$PWD/"}
cat <<END
The lab is up. Try next:
  $netctl lab status                      every node, session, name and process
  $netctl status                          what gateways, controllers and checkers say
  $netctl explain 10.2.0.0/16             why a prefix goes where it goes
  $netctl explain orders                  why a name is answered as it is
  $netctl lab exec a-vm1 -- dig +short orders.netctl.internal
  $netctl lab exec ga1 -- ip route        the kernel's view: routes at ECMP groups
  $netctl drill run registry-wipe         every key gone: nothing may leave the answers
  $netctl drill list                      what else can be broken
  $netctl lab down                        end it all
END
if [ "$worst" != 0 ]; then
    printf '\nThe lab is up, but a drill above has not passed (exit code %s). %s\n' "$worst" \
        "${netctl} drill show lists them with the reason; inconclusive (6) means: run it again when the machine is less busy." >&2
fi
exit "$worst"
