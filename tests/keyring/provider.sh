#!/bin/bash
# SPDX-License-Identifier: ISC
# A private session bus and a Secret Service on it, for tests. Everything
# lives in DIR; what is started is printed as "PID" and left running.
# usage: provider.sh bus DIR
#        provider.sh gnome DIR PASSWORD      (creates or unlocks its keyring)
#        provider.sh gnome-locked DIR        (does not unlock it)
#        provider.sh keepassxc DIR
set -eu
what=$1 dir=$2
export HOME=$dir XDG_RUNTIME_DIR=$dir/run XDG_DATA_HOME=$dir/data
export XDG_CONFIG_HOME=$dir/config XDG_CACHE_HOME=$dir/cache
export DBUS_SESSION_BUS_ADDRESS=unix:path=$dir/bus
export QT_QPA_PLATFORM=offscreen
unset DISPLAY WAYLAND_DISPLAY
mkdir -p -m 700 "$XDG_RUNTIME_DIR" "$XDG_DATA_HOME" \
    "$XDG_CONFIG_HOME/keepassxc" "$XDG_CACHE_HOME/keepassxc"

wait_for_name() {
	for _ in $(seq 600); do
		dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
		    org.freedesktop.DBus.NameHasOwner \
		    string:org.freedesktop.secrets 2>/dev/null |
		    grep -q 'boolean true' && return 0
		sleep 0.05
	done
	echo "no Secret Service came up" >&2
	cat "$dir/provider.log" >&2
	return 1
}

start_bus() {
	# No service directories: a provider that died stays dead.
	cat >"$dir/bus.conf" <<-END
	<!DOCTYPE busconfig PUBLIC
	 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
	 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
	<busconfig><type>session</type><keep_umask/>
	<listen>unix:path=$dir/bus</listen><auth>EXTERNAL</auth>
	<policy context="default"><allow send_destination="*" eavesdrop="true"/>
	<allow eavesdrop="true"/><allow own="*"/></policy>
	</busconfig>
	END
	rm -f "$dir/bus"
	dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile \
	    </dev/null >"$dir/bus.log" 2>&1 &
	echo $!
	for _ in $(seq 600); do
		[ -S "$dir/bus" ] && return 0
		sleep 0.05
	done
	return 1
}

start_gnome() {
	local unlock=()
	[ $# -eq 0 ] || unlock=(--unlock)
	printf %s "${1:-}" | gnome-keyring-daemon --foreground \
	    "${unlock[@]}" --components=secrets \
	    --control-directory="$XDG_RUNTIME_DIR/keyring" \
	    >"$dir/provider.log" 2>&1 &
	echo $!
	wait_for_name
}

random_uuid() {
	head -c16 /dev/urandom | base64
}

# To the tray, since 2.7.10 crashes when it shows its window off-screen.
start_keepassxc() {
	local uuid hex braced
	cat >"$XDG_CONFIG_HOME/keepassxc/keepassxc.ini" <<-'END'
	[General]
	ConfigVersion=2
	UpdateCheckMessageShown=true
	SingleInstance=false
	AutoSaveAfterEveryChange=true
	[GUI]
	CheckForUpdates=false
	MinimizeOnStartup=true
	ShowTrayIcon=true
	MinimizeToTray=true
	[FdoSecrets]
	Enabled=true
	ShowNotification=false
	ConfirmAccessItem=false
	ConfirmDeleteItem=false
	UnlockBeforeSearch=false
	[Security]
	LockDatabaseIdle=false
	LockDatabaseScreenLock=false
	END
	printf '[General]\n' >"$XDG_CACHE_HOME/keepassxc/keepassxc.ini"
	if [ ! -e "$dir/db.kdbx" ]; then
		uuid=$(random_uuid)
		hex=$(echo "$uuid" | base64 -d | od -An -tx1 | tr -d ' \n')
		braced="{${hex:0:8}-${hex:8:4}-${hex:12:4}-${hex:16:4}-${hex:20}}"
		cat >"$dir/db.xml" <<-END
		<?xml version="1.0" encoding="UTF-8"?>
		<KeePassFile><Meta><Generator>test</Generator>
		<DatabaseName>test</DatabaseName><CustomData><Item>
		<Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>$braced</Value>
		</Item></CustomData></Meta><Root><Group><UUID>$uuid</UUID>
		<Name>Root</Name><IconID>48</IconID></Group></Root></KeePassFile>
		END
		printf 'pass\npass\n' | keepassxc-cli import -q -p -t 100 \
		    "$dir/db.xml" "$dir/db.kdbx" >/dev/null 2>&1
	fi
	printf 'pass\n' | keepassxc --pw-stdin "$dir/db.kdbx" \
	    >"$dir/provider.log" 2>&1 &
	echo $!
	wait_for_name
	# It owns its name before its database is open.
	for _ in $(seq 600); do
		default_is_open && return 0
		sleep 0.05
	done
	echo "KeePassXC does not open its database" >&2
	return 1
}

ask() {
	dbus-send --session --print-reply --dest=org.freedesktop.secrets "$@" \
	    2>/dev/null
}

default_path() {
	ask /org/freedesktop/secrets \
	    org.freedesktop.Secret.Service.ReadAlias string:default |
	    grep -o '/org/freedesktop/secrets/collection/[^"]*'
}

default_is_open() {
	local path
	path=$(default_path) || return 1
	ask "$path" org.freedesktop.DBus.Properties.Get \
	    string:org.freedesktop.Secret.Collection string:Locked |
	    grep -q 'boolean false'
}

case $what in
bus) start_bus ;;
gnome) start_gnome "$3" ;;
gnome-locked) start_gnome ;;
keepassxc) start_keepassxc ;;
esac
