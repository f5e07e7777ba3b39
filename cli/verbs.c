/* SPDX-License-Identifier: ISC */
/* What for: the one table of verbs. Trusts: nothing. At a bound: none. */
#include "cli/verbs.h"

#include "cli/help.h"
#include "cli/run.h"

/* clang-format off */
static const struct verb_option init_options[] = {
	{"vault", "BACKEND", 0, false, "sealed-file or secret-service"},
	{"key", "SOURCE", 0, false,
	    "of a sealed file: key-file, passphrase or systemd-credential"},
	{"key-file", "PATH", 0, false, "use this key file; made when missing"},
	{"from-file", "PATH", 0, false, "read the passphrase there, - for stdin"},
	{NULL},
};

static const struct verb_option from_file[] = {
	{"from-file", "PATH", 0, false, "read it there; - for stdin"},
	{NULL},
};

static const struct verb_option logs_options[] = {
	{"follow", NULL, 'f', false, "go on showing what comes"},
	{"lines", "N", 'n', false, "how many of the last lines (100)"},
	{NULL},
};

static const struct verb_option add_options[] = {
	{"kind", "KIND", 0, false, "bearer, header, basic or query"},
	{"host", "HOST", 0, true, "may be sent to this host (*.x: one label)"},
	{"header", "NAME", 0, false, "kind header: the header's name"},
	{"user", "USER", 0, false, "kind basic: the user name"},
	{"query", "NAME", 0, false, "kind query: the parameter's name"},
	{"preset", "NAME", 0, false, "a known service: says all of the above"},
	{"env", "VARIABLE", 0, true,
	    "the placeholder goes there in the sandbox"},
	{"note", "TEXT", 0, false, "for people"},
	{"echoes", NULL, 0, false,
	    "answers may show it: never ask for parts of them"},
	{"short", NULL, 0, false,
	    "accept under 12 bytes, which replies cannot be cleaned of"},
	{"from-file", "PATH", 0, false, "read the value there; - for stdin"},
	{NULL},
};

static const struct verb_option bind_options[] = {
	{"host", "HOST", 0, true, "may be sent to this host"},
	{"kind", "SLOT", 0, false, "bearer, header, basic or query"},
	{"header", "NAME", 0, false, "slot header: the header's name"},
	{"user", "USER", 0, false, "slot basic: the user name"},
	{"query", "NAME", 0, false, "slot query: the parameter's name"},
	{"replace", NULL, 0, false, "forget the bindings that are there"},
	{NULL},
};

static const struct verb_option test_options[] = {
	{"method", "METHOD", 0, false, "instead of the preset's"},
	{"host", "HOST", 0, false, "instead of the first bound one"},
	{"path", "PATH", 0, false, "instead of the preset's"},
	{NULL},
};

static const struct verb_option migrate_options[] = {
	{"key", "SOURCE", 0, false,
	    "of a sealed file: key-file, passphrase or systemd-credential"},
	{"key-file", "PATH", 0, false, "use this key file; made when missing"},
	{"from-file", "PATH", 0, false, "read the passphrase there; - for stdin"},
	{NULL},
};

static const struct verb_option apply_options[] = {
	{"replace", NULL, 0, false, "remove the grants that FILE does not name"},
	{NULL},
};

static const struct verb_option session_only[] = {
	{"session", "SESSION", 0, false, "only this one (id or guest name)"},
	{NULL},
};

static const struct verb_option create_options[] = {
	{"name", "GUEST", 0, false, "name of the guest (one is made up)"},
	{"grant", "NAME", 0, true, "an applied grant"},
	{"preset", "NAME", 0, true, "a known service, NAME or NAME:SCOPE"},
	{"allow", "RULE", 0, true, "a rule, as 'GET api.github.com/repos/**'"},
	{"credential", "NAME", 0, false, "for --allow and --preset"},
	{"ttl", "TIME", 0, false, "how long: 30m, 8h, 7d (8h)"},
	{"pid", "PID", 0, false, "end it when this process ends: a VMM, an init"},
	{"dir", "DIR", 0, false, "put the channel there, not in our own place"},
	{"channel", "TYPE", 0, false,
	    "unix, hybrid:PATH of a VMM's vsock device, vsock:CID or vsock:local"},
	{"port", "PORT", 0, false, "of hybrid: the guest's vsock port (8377)"},
	{"uid", "UID", 0, false, "who may connect (you)"},
	{"privileged-ports", NULL, 0, false,
	    "of vsock: the guest's root alone (ports below 1024)"},
	{NULL},
};

static const struct verb_option list_options[] = {
	{"all", NULL, 0, false, "those that have ended too"},
	{NULL},
};

static const struct verb_option revoke_options[] = {
	{"session", "SESSION", 0, false, "a session: id or guest name"},
	{"token", "TOKEN", 0, false, "a token: its jti or family; - for stdin"},
	{"grant", "NAME", 0, false, "a grant, in every session"},
	{"credential", "NAME", 0, false, "a credential, in every session"},
	{"guest", "GUEST", 0, false, "all sessions of a guest"},
	{"all", NULL, 0, false, "everything"},
	{NULL},
};

static const struct verb_option tail_options[] = {
	{"follow", NULL, 'f', false, "go on showing what comes"},
	{"session", "SESSION", 0, false, "only this one (id)"},
	{"guest", "GUEST", 0, false, "only this guest's sessions (name)"},
	{"event", "EVENT", 0, false, "only lines of this event"},
	{"host", "HOST", 0, false, "only lines about this host"},
	{"reason", "REASON", 0, false, "only lines with this reason"},
	{"since", "TIME", 0, false,
	    "only later lines: 30m, 8h, 7d ago, or \"2026-11-27 15:00\""},
	{"family", "FAMILY", 0, false,
	    "only this token family and those below it"},
	{"lines", "N", 'n', false, "how many of the last lines (20)"},
	{NULL},
};

static const struct verb_option export_options[] = {
	{"to", "WHERE", 0, false, "journald or syslog"},
	{"follow", NULL, 'f', false, "go on with what comes, and wait for "
	    "a service that is away"},
	{"socket", "PATH", 0, false,
	    "where that service listens, if not in its usual place"},
	{NULL},
};

static const struct verb_option audit_verify_options[] = {
	{"keys", "FILE", 0, false,
	    "believe these public keys, not those beside the logs"},
	{NULL},
};

const struct verb verbs[] = {
	{"init", "", "choose a vault, start the daemon; idempotent",
	    init_options,
	    "Without --vault: the desktop's keychain when it answers unlocked,"
	    "\nelse a sealed file with a key file made for you.",
	    init_run},
	{"start", "", "start the daemon; idempotent", NULL, NULL, start_run},
	{"unlock", "", "unlock the vault with its passphrase", from_file,
	    NULL, unlock_run},
	{"lock", "", "forget the vault's key; traffic stops", NULL, NULL,
	    lock_run},
	{"status", "", "what runs, and how it is", NULL, NULL, status_run},
	{"stop", "", "stop the daemon; sessions stay", NULL, NULL, stop_run},
	{"logs", "", "the daemon's log", logs_options, NULL, logs_run},
	{"run", "-- COMMAND [ARG]...",
	    "run a command in a sandbox with a session of its own",
	    run_options,
	    "The sandbox has no network and no secret. It sees /usr, an empty\n"
	    "home, and the current directory, where it may write all but what\n"
	    "would later run outside (.git/hooks, .vscode, .envrc and the\n"
	    "like). Sockets in it are covered. The session ends with the\n"
	    "command, whose exit status is ours. Limits are NAME=VALUE of\n"
	    "memory, file-size, tmp (10MiB), processes, open-files (100),\n"
	    "cpu (2h): those of each process but tmp, that of each of /tmp,\n"
	    "/var/tmp and home.",
	    run_verb},
	{"credential add", "NAME", "store a credential", add_options,
	    "The value is read from the terminal (not shown), from standard\n"
	    "input, or from --from-file. It is never an argument.",
	    credential_add_run},
	{"credential list", "", "all credentials, without values; which are rejected", NULL, NULL,
	    credential_list_run},
	{"credential show", "NAME", "one credential, without its value", NULL,
	    NULL, credential_show_run, "credential"},
	{"credential bind", "NAME", "say where it may be sent", bind_options,
	    "Adds one binding for the hosts given; with --replace it becomes\n"
	    "the only one.",
	    credential_bind_run, "credential"},
	{"credential rotate", "NAME", "store a new value", from_file,
	    "Running sessions use the new value at once.",
	    credential_rotate_run, "credential"},
	{"credential remove", "NAME", "forget it, at once and for good", NULL,
	    NULL, credential_remove_run, "credential"},
	{"credential test", "NAME", "try it in one harmless request",
	    test_options,
	    "Makes a short session with a grant for just that request and\n"
	    "sends it as a guest would. The value never comes here.",
	    credential_test_run, "credential"},
	{"vault status", "", "which backend, and its state", NULL, NULL,
	    vault_status_run},
	{"vault migrate", "BACKEND", "move all credentials to another backend",
	    migrate_options, "BACKEND: sealed-file or secret-service.",
	    vault_migrate_run, "backend"},
	{"vault backup", "FILE", "write a sealed copy of all credentials",
	    from_file,
	    "--from-file names the backup's passphrase, asked for otherwise.",
	    vault_backup_run, "file"},
	{"vault restore", "FILE", "take a sealed copy back in", from_file,
	    "--from-file names the backup's passphrase, asked for otherwise.",
	    vault_restore_run, "file"},
	{"grant apply", "FILE...", "take in the grants of YAML files",
	    apply_options,
	    "All or nothing; running sessions follow at once. \"-\" is stdin.\n"
	    "The grammar is in hatcheck-grants(5).",
	    grant_apply_run, "file"},
	{"grant list", "", "all applied grants", NULL, NULL, grant_list_run},
	{"grant show", "NAME", "one grant", NULL, NULL, grant_show_run,
	    "grant"},
	{"grant remove", "NAME", "take it away, from running sessions first",
	    NULL, NULL, grant_remove_run, "grant"},
	{"grant suggest", "", "the rules that recent refusals asked for",
	    session_only, "Read them before you apply any.",
	    grant_suggest_run},
	{"session create", "", "open a channel for a guest", create_options,
	    NULL, session_create_run},
	{"session list", "", "the sessions", list_options, NULL,
	    session_list_run},
	{"session show", "SESSION", "one session", NULL, NULL,
	    session_show_run, "session"},
	{"session end", "SESSION", "end it: tokens, connections, channel",
	    NULL, NULL, session_end_run, "session"},
	{"token list", "", "the tokens", session_only, NULL, token_list_run},
	{"token inspect", "TOKEN", "what a token (or jti) is worth", NULL,
	    "\"-\" reads it from standard input.", token_inspect_run},
	{"token revoke", "TOKEN", "end its family", NULL,
	    "\"-\" reads it from standard input.", token_revoke_run},
	{"token metadata", "", "what a client may ask for (RFC 8414)", NULL,
	    NULL, token_metadata_run},
	{"key list", "", "the keys that tokens are signed with", NULL, NULL,
	    key_list_run},
	{"key rotate", "", "sign with a new key from now on", NULL,
	    "The one before is believed until the last token that it signed\n"
	    "has expired. Keys older than 30 days are rotated by themselves.",
	    key_rotate_run},
	{"revoke", "", "take back; done when this returns", revoke_options,
	    "Exactly one of the options.", revoke_run},
	{"explain", "METHOD URL", "which rule allows or refuses this",
	    session_only,
	    "Without --session: for every active session. Exit status 5 when\n"
	    "it is refused everywhere.",
	    explain_run},
	{"audit tail", "", "the last audit lines", tail_options,
	    "With several filters, a line must meet all.",
	    audit_tail_run},
	{"audit export", "", "hand audit lines on to journald or syslog",
	    export_options,
	    "Begins where the last export to the same service ended; it keeps\n"
	    "a cursor for each in the state directory. After a crash the last\n"
	    "lines may come twice: chain and seq tell. With --follow it is a\n"
	    "service of its own, for systemd or the like to keep running.",
	    audit_export_run},
	{"audit verify", "[DIR]", "check every chain, offline",
	    audit_verify_options,
	    "DIR: a copy of the audit directory. Exit status 7 when a line\n"
	    "was changed, removed, reordered or cut off. Keep a copy of\n"
	    "keys.json where nobody who can write the logs can write it,\n"
	    "for --keys.",
	    audit_verify_run, "file"},
	{"metrics", "", "the daemon's numbers, as Prometheus reads them", NULL,
	    "The same text as GET /v1/metrics of the admin socket. Their\n"
	    "names are in docs/metrics.md.",
	    metrics_run},
	{"preset list", "", "the known services", NULL, NULL,
	    preset_list_run, NULL, true},
	{"preset show", "NAME", "its hosts, scopes and shapes", NULL, NULL,
	    preset_show_run, "preset", true},
	{"doctor", "", "check what Hatcheck stands on", NULL,
	    "Exit status 7 when something must be mended.", doctor_run},
	{"completion", "SHELL [WORD]...", "completion for bash, zsh or fish",
	    NULL,
	    "bash: eval \"$(hatcheck completion bash)\"\n"
	    "zsh:  eval \"$(hatcheck completion zsh)\"\n"
	    "fish: hatcheck completion fish | source",
	    completion_run, "shell", true},
	{"help", "[VERB]...", "help; with --json the whole table", NULL, NULL,
	    help_run, NULL, true},
	{"version", "", "version and build", NULL, NULL, version_run, NULL, true},
	{NULL},
};
/* clang-format on */
