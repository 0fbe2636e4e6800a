#!/bin/sh
# Installs the service, or removes it; both may be run again at any time.
#   systemd/install.sh              to /opt/streamcls, /etc/streamcls, /etc/systemd/system
#   systemd/install.sh uninstall    leaves settings, secrets and the journal of events
# DESTDIR=/some/root installs into a tree that is not the running system's, as packagers do.
# PYTHON=python3.12 names the interpreter; NO_VENV=1 leaves /opt/streamcls to somebody else.
set -eu
umask 022  # the service's user reads all but the secrets
cd "$(dirname "$0")/.."

root=${DESTDIR:-}
program=$root/opt/streamcls
settings=$root/etc/streamcls
units=$root/etc/systemd/system

# Not where the files lie in another tree, or where systemd does not run.
manage() {
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemctl "$@"; fi
}

case ${1:-install} in
install)
    if [ -z "${NO_VENV:-}" ]; then
        "${PYTHON:-python3}" -m venv "$program"
        "$program/bin/python" -m pip --disable-pip-version-check --quiet install --upgrade --constraint constraints.txt '.[openvino]'
    fi
    install -d -m 0755 "$settings" "$units"
    install -d -m 0700 "$settings/secrets"
    if [ -e "$settings/streamcls.toml" ]; then
        echo "kept your $settings/streamcls.toml"
    else
        install -m 0644 configs/streamcls.toml "$settings/streamcls.toml"
        echo "edit $settings/streamcls.toml: its cameras are examples"
    fi
    install -m 0644 systemd/streamcls.service systemd/streamcls@.service "$units"
    manage daemon-reload
    echo "then: systemctl enable --now streamcls"
    ;;
uninstall)
    if [ -e "$units/streamcls@.service" ] && command -v systemctl >/dev/null; then
        manage stop streamcls.service 'streamcls@*.service'
        # It takes no patterns; the template stands for its instances.
        systemctl ${root:+--root="$root"} --quiet disable streamcls.service streamcls@.service
    fi
    rm -f "$units/streamcls.service" "$units/streamcls@.service"
    [ -n "${NO_VENV:-}" ] || rm -rf "$program"
    manage daemon-reload
    echo "left: $settings (settings and secrets), $root/var/lib/streamcls* (journals of events), $root/var/cache/streamcls*, drop-ins"
    ;;
*)
    echo "usage: $0 [install | uninstall]" >&2
    exit 2
    ;;
esac
