#!/bin/sh
# What the tests need from the system: installed where we may, named where we may not.
set -eu

missing=""
PATH="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
command -v mosquitto >/dev/null || missing="mosquitto"
command -v mosquitto_pub >/dev/null || missing="$missing mosquitto-clients"
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
  missing="$missing chromium"
command -v npm >/dev/null || missing="$missing nodejs npm"
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing$(printf ' %s' $missing) for the tests …"
  # A service that starts by itself would take the port of somebody's broker: keep it from starting.
  printf '#!/bin/sh\nexit 101\n' >/tmp/insula-policy-rc.d
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    install -m 755 /tmp/insula-policy-rc.d /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "Missing:$missing. The tests that need them are skipped: those of the broker, of ingest and of the browser,"
  echo "and those of TimescaleDB in WebAssembly."
fi
