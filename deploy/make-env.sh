#!/usr/bin/env bash
# Makes .env for docker compose once, with random secrets. Usage: deploy/make-env.sh ADDRESS-OF-THIS-MACHINE
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || { echo "usage: deploy/make-env.sh ADDRESS  (by which browsers reach this machine)" >&2; exit 2; }
[ -e .env ] && { echo ".env is there already; delete it to make new secrets (the database keeps its old password)" >&2; exit 1; }
secret() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
umask 077
printf 'REDIS_PASSWORD=%s\nPOSTGRES_PASSWORD=%s\nTURN_SECRET=%s\nSHARPEYES_ANNOUNCE=%s\n' "$(secret)" "$(secret)" "$(secret)" "$1" > .env
echo "wrote .env (mode 600); now: docker compose up --build"
