#!/usr/bin/env bash
# `make lab`, once everything is set up: the lab up, one provider cut, what to try next. The lab stays up.
set -euo pipefail

netctl lab up
code=0
netctl drill run provider-cut || code=$?

# The lines name netctl as this shell can call it.
netctl=$(command -v netctl)
netctl=${netctl#"$PWD/"}
cat <<END

The lab is up. Try next:
  $netctl lab status                      every node, session and process
  $netctl status                          what the gateways' agents say
  $netctl explain 10.2.0.0/16             why a prefix goes where it goes
  $netctl lab exec ga1 -- ip route        the kernel's view: routes at ECMP groups
  $netctl drill run agent-kill            no packet may be lost
  $netctl drill list                      what else can be broken
  $netctl lab down                        end it all
END
exit "$code"
