#!/usr/bin/env bash
# Installs what the system lacks: as root on Debian by apt; otherwise it names the line to type.
#   deploy/system.sh run  PYTHON   what the hub needs; ends with 1 when it stays missing
#   deploy/system.sh test PYTHON   what only the tests need; those tests skip visibly without it
set -euo pipefail
what=$1 python=$2
missing=()

have_library() { { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -q "$1"; }
want() { missing+=("$1"); }

if ! command -v "$python" >/dev/null; then
  echo "Python is missing: install python3 (3.11 or newer), or name it: make PYTHON=/path/to/python3" >&2; exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "$python is older than 3.11; name a newer one: make PYTHON=/path/to/python3" >&2; exit 1
fi

case $what in
  run)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || want python3-venv
    have_library libGL.so.1 || want libgl1
    have_library libgthread-2.0.so.0 || want libglib2.0-0
    have_library libxcb.so.1 || want libxcb1
    # gcc and python3-dev are optional: with them the relay's native half is compiled, see docs/install.md
    ;;
  test)
    command -v chromium >/dev/null || want chromium
    [ -e /usr/share/fonts/truetype/wqy/wqy-microhei.ttc ] || want fonts-wqy-microhei
    command -v sipp >/dev/null || want sip-tester
    command -v turnserver >/dev/null || want coturn
    have_library libatomic.so.1 || want libatomic1  # the browser driver's own Node
    ;;
esac
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null; then
  echo "Installing from Debian: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/tmp/sharpeyes-apt.log 2>&1 && exit 0
  tail -n 5 /tmp/sharpeyes-apt.log >&2
fi
echo "The system lacks: ${missing[*]}. As root on Debian: apt-get install ${missing[*]}" >&2
[ "$what" = test ] && { echo "Tests that need them will be skipped, and say so." >&2; exit 0; }
exit 1
