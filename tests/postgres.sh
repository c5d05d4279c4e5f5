#!/usr/bin/env bash
# Installs PostgreSQL for the tests on it, as root on Debian; elsewhere it says that they are left out.
set -euo pipefail
if [ -n "${TENANTRY_TEST_POSTGRES:-}" ] || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "there is no PostgreSQL: its tests are left out (install postgresql-15, or set TENANTRY_TEST_POSTGRES)" >&2
  exit 0
fi
# Without the cluster that the package would make and start.
mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >>/etc/postgresql-common/createcluster.conf
apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null ||
  echo "postgresql-15 cannot be installed: its tests are left out" >&2
