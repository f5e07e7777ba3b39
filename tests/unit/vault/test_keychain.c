/* SPDX-License-Identifier: ISC */
/*
 * The secret-service backend against a real gnome-keyring-daemon and a real
 * KeePassXC on a private bus, by the real hatcheck-vault in its walls. As
 * root, everything runs as an ordinary user, and a part as root.
 */
#include "tests/unit/vault/driver.h"
#include "vault/backend.h"

#include <libsecret/secret.h>
#include <sys/prctl.h>

#define VALUE "canary-value-0123456789"

static int script_fd;

#ifdef HATCHECK_SANITIZED
/* libsecret leaks an empty array in each search that finds nothing. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:g_malloc0\n";
}
#endif

struct desk {
	struct vault v;
	char dir[64];
	pid_t bus, provider;
	const char *kind;
};

/* Runs provider.sh; the pid that it prints. */
static pid_t
provide(struct desk *d, const char *what, const char *password)
{
	char text[32] = "", path[32];
	int out[2], status = 0;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", script_fd);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		int again = open(path, O_RDONLY);
		dup2(again >= 0 ? again : script_fd, 0);
		lseek(0, 0, SEEK_SET);
		dup2(out[1], 1);
		execlp("bash", "bash", "-s", "--", what, d->dir, password,
		    (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	close(out[0]);
	if (status != 0)
		fail_msg("provider.sh %s failed", what);
	return (pid_t)atoi(text);
}

/* Grandchildren of ours come to us: see main(). */
static void
end_process(pid_t *pid)
{
	if (*pid == 0)
		return;
	kill(*pid, SIGCONT);
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

static void
use_bus(struct desk *d)
{
	char address[96];

	snprintf(address, sizeof(address), "unix:path=%s/bus", d->dir);
	setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
}

static struct desk *
desk_new(const char *kind)
{
	struct desk *d = calloc(1, sizeof(*d));

	snprintf(d->dir, sizeof(d->dir), "/tmp/hatcheck-desk-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	use_bus(d);
	vault_home(&d->v);
	configure(&d->v, "{\"backend\":\"secret-service\"}");
	d->kind = kind;
	return d;
}

static int
setup_gnome(void **state)
{
	struct desk *d = desk_new("gnome");

	d->bus = provide(d, "bus", NULL);
	d->provider = provide(d, "gnome", "pass");
	vault_start(&d->v);
	*state = d;
	return 0;
}

static int
setup_keepassxc(void **state)
{
	struct desk *d = desk_new("keepassxc");

	d->bus = provide(d, "bus", NULL);
	d->provider = provide(d, "keepassxc", NULL);
	vault_start(&d->v);
	*state = d;
	return 0;
}

static int
setup_bare(void **state)
{
	*state = desk_new("none");
	return 0;
}

static int
teardown(void **state)
{
	struct desk *d = *state;
	char command[128];

	if (getenv("SHOW") != NULL) {
		char *log;
		read_file(d->v.log, &log);
		print_message("%s", log);
		free(log);
	}
	expect_not_logged(&d->v, "canary");
	vault_clean(&d->v);
	end_process(&d->provider);
	end_process(&d->bus);
	snprintf(command, sizeof(command), "rm -rf %s", d->dir);
	assert_int_equal(system(command), 0);
	free(d);
	return 0;
}

static int
dbus_send(struct desk *d, const char *what)
{
	char command[512];

	snprintf(command, sizeof(command),
	    "DBUS_SESSION_BUS_ADDRESS=unix:path=%s/bus dbus-send --session "
	    "--print-reply --dest=org.freedesktop.secrets %s >%s/send 2>&1",
	    d->dir, what, d->dir);
	return system(command);
}

/* In a process of its own: KeePassXC wants a prompt done by the client. */
static bool
lock_once(void)
{
	GList *locked = NULL, collections = {0};
	SecretService *s =
	    secret_service_get_sync(SECRET_SERVICE_OPEN_SESSION, NULL, NULL);
	SecretCollection *c =
	    s == NULL ? NULL
		      : secret_collection_for_alias_sync(
			    s, "default", SECRET_COLLECTION_NONE, NULL, NULL);

	if (c == NULL)
		return false;
	if (secret_collection_get_locked(c))
		return true;
	collections.data = c;
	(void)secret_service_lock_sync(s, &collections, NULL, &locked, NULL);
	secret_service_disconnect(); /* so that the state is asked anew */
	return false;
}

/* KeePassXC refuses while it is saving: ask until it is locked. */
static int
lock_and_exit(void)
{
	for (int i = 0; i < 300; i++) {
		if (lock_once())
			return 0;
		usleep(100000);
	}
	return 1;
}

static void
lock_keychain(struct desk *d)
{
	int status = 0;
	pid_t pid = fork();

	(void)d;
	if (pid == 0) {
		execl("/proc/self/exe", "test_keychain", "lock", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* When KeePassXC's file was written last; 0: gnome-keyring, which saves before
 * it answers. */
static int64_t
saved_at(struct desk *d)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/db.kdbx", d->dir);
	return stat(path, &st) != 0
		   ? 0
		   : st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* It saves a moment after it has answered, in several steps; what it has not
 * saved when it is killed is lost, and not by us. Nothing was in the file
 * yet at before; it is all there when the file is left alone for long. */
static void
let_it_save(struct desk *d, int64_t before)
{
	int64_t was = before, now;

	while ((now = saved_at(d)) != 0 && (now == before || now != was)) {
		was = now;
		usleep(2000000);
	}
}

static void
expect_status(struct desk *d, const char *want)
{
	json_t *j = good(&d->v, "status", "{}", NULL);

	if (strcmp(json_text(j, "state"), want) != 0)
		fail_msg("state is %s (%s), not %s", json_text(j, "state"),
		    json_text(j, "why"), want);
	json_decref(j);
}

static void
expect_secret(struct vault *v, const char *name, const char *value)
{
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	char d[256];

	snprintf(d, sizeof(d), "{\"credentials\":[\"%s\"],\"hosts\":[]}", name);
	int courier = peer(v, LINK_COURIER, "s-check", d);
	struct lease_given m = lease(courier, 1, name, store);
	assert_int_equal(m.err, 0);
	assert_true(span_is(m.secret, value));
	buf_free(store);
	close(courier);
}

/* Once the provider is back, the vault finds it by itself. */
static void
wait_until_open(struct desk *d)
{
	for (;;) {
		json_t *j = good(&d->v, "status", "{}", NULL);
		bool open = strcmp(json_text(j, "state"), "open") == 0;
		json_decref(j);
		if (open)
			return;
		usleep(100000);
	}
}

/* --- with either provider -------------------------------------------- */

static void
credentials_live_in_the_keychain(void **state)
{
	struct desk *d = *state;
	struct vault *v = &d->v;
	char *db, path[128];

	expect_status(d, "open");
	add(v, "demo", VALUE);
	expect_secret(v, "demo", VALUE);
	do_good(v, "credential.rotate", "{\"name\":\"demo\"}", VALUE "-2");
	expect_secret(v, "demo", VALUE "-2");
	assert_int_equal(vault_stop(v), 0);
	vault_start(v);
	expect_secret(v, "demo", VALUE "-2");
	/* A person recognises it. */
	assert_int_equal(
	    dbus_send(d, "/org/freedesktop/secrets org.freedesktop.Secret"
			 ".Service.SearchItems dict:string:string:"
			 "service,hatcheck,name,demo"),
	    0);
	/* And no value lies beside. */
	snprintf(path, sizeof(path), "%s/vault.db", v->state);
	size_t n = read_file(path, &db);
	assert_null(memmem(db, n, "canary", 6));
	free(db);
	do_good(v, "credential.remove", "{\"name\":\"demo\"}", NULL);
	refused(v, "credential.show", "{\"name\":\"demo\"}", NULL,
	    ERR_NOT_FOUND, "demo");
}

static void
a_removed_credential_leaves_no_entry(void **state)
{
	struct desk *d = *state;
	char file[96], *reply;

	add(&d->v, "demo", VALUE);
	do_good(&d->v, "credential.rotate", "{\"name\":\"demo\"}", VALUE "-2");
	do_good(&d->v, "credential.remove", "{\"name\":\"demo\"}", NULL);
	assert_int_equal(
	    dbus_send(d, "/org/freedesktop/secrets org.freedesktop.Secret"
			 ".Service.SearchItems dict:string:string:"
			 "service,hatcheck,name,demo"),
	    0);
	snprintf(file, sizeof(file), "%s/send", d->dir);
	read_file(file, &reply);
	assert_null(strstr(reply, "object path"));
	free(reply);
}

static void
a_locked_keychain_is_a_state(void **state)
{
	struct desk *d = *state;
	struct vault *v = &d->v;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int minter = peer(v, LINK_MINTER, "", "");
	int courier = peer(v, LINK_COURIER, "s-1",
	    "{\"credentials\":[\"demo\"],\"hosts\":[]}");

	expect_state(minter, VAULT_OPEN);
	add(v, "demo", VALUE);
	assert_int_equal(lease(courier, 1, "demo", store).err, 0);
	lock_keychain(d);
	send_lease(courier, 2, "demo");
	expect_changed(courier, "demo", 0);
	struct lease_given m;
	assert_int_equal(
	    link_call_receive(courier, &msg_lease_given, &m, store, LONG_MS),
	    0);
	assert_int_equal(m.err, ERR_LOCKED);
	expect_state(minter, VAULT_LOCKED);
	expect_status(d, "locked");
	refused(v, "credential.rotate", "{\"name\":\"demo\"}", VALUE "-2",
	    ERR_LOCKED, "locked");
	refused(v, "unlock", "{}", NULL, ERR_LOCKED, "locked");
	buf_free(store);
	close(minter);
	close(courier);
}

static void
a_killed_keychain_is_seen_and_found_again(void **state)
{
	struct desk *d = *state;
	struct vault *v = &d->v;

	int64_t before = saved_at(d);

	add(v, "demo", VALUE);
	let_it_save(d, before);
	end_process(&d->provider);
	refused(v, "credential.rotate", "{\"name\":\"demo\"}", VALUE "-2",
	    ERR_UNAVAILABLE, "keychain");
	expect_status(d, "unavailable");
	d->provider = provide(d, d->kind, "pass");
	wait_until_open(d);
	expect_secret(v, "demo", VALUE);
	before = saved_at(d);
	do_good(v, "credential.rotate", "{\"name\":\"demo\"}", VALUE "-3");
	expect_secret(v, "demo", VALUE "-3");
	/* Killed and back unnoticed: the stale connection costs nothing. */
	let_it_save(d, before);
	end_process(&d->provider);
	d->provider = provide(d, d->kind, "pass");
	expect_secret(v, "demo", VALUE "-3");
}

/* Several wait at once; none waits for ever, and each is told why. The
 * generous limit is the driver's own. */
static void
a_frozen_keychain_is_given_up(void **state)
{
	struct desk *d = *state;
	struct vault *v = &d->v;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int courier = peer(v, LINK_COURIER, "s-1",
	    "{\"credentials\":[\"demo\"],\"hosts\":[]}");

	add(v, "demo", VALUE);
	kill(d->provider, SIGSTOP);
	for (uint32_t i = 1; i <= 5; i++)
		send_lease(courier, i, "demo");
	int64_t began = backend_now_ms();
	for (uint32_t i = 1; i <= 5; i++) {
		struct lease_given m;
		assert_int_equal(link_call_receive(courier, &msg_lease_given,
				     &m, store, LONG_MS),
		    0);
		assert_int_equal(m.rid, i);
		assert_int_equal(m.err, ERR_UNAVAILABLE);
	}
	print_message("# five leases given up after %lld ms\n",
	    (long long)(backend_now_ms() - began));
	refused(v, "credential.rotate", "{\"name\":\"demo\"}", VALUE "-2",
	    ERR_UNAVAILABLE, "does not answer");
	expect_status(d, "unavailable");
	kill(d->provider, SIGCONT);
	wait_until_open(d);
	expect_secret(v, "demo", VALUE);
	buf_free(store);
	close(courier);
}

static void
any_bytes_come_back(void **state)
{
	struct desk *d = *state;
	struct config_choice c = {.backend = CONFIG_SECRET_SERVICE};
	static uint8_t big[KEEP_MAX];
	struct backend *b = NULL;
	struct store *s = NULL;
	struct keep *key = NULL, *back = NULL;
	char why[256] = "";
	static const struct {
		const char *p;
		size_t n;
	} values[] = {{"\0", 1}, {"a\0b", 3}, {"\xff\xfe\n\r", 4}, {"x", 1}};

	assert_int_equal(vault_stop(&d->v), 0);
	vault_spawn(&d->v); /* for the teardown's sake it lives */
	char other[96];
	snprintf(other, sizeof(other), "%s/other", d->v.home);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(store_open(other, &s, why, sizeof(why)), 0);
	assert_int_equal(keep_random(SEAL_KEY, &key), 0);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_found(s, key), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(backend_open(&c, s, &b, why, sizeof(why)), 0);
	for (size_t i = 0; i < 4; i++) {
		backend_budget(b, backend_now_ms());
		assert_int_equal(b->ops->put(b, "bin", (uint32_t)i,
				     span_of(values[i].p, values[i].n)),
		    0);
		assert_int_equal(b->ops->get(b, "bin", (uint32_t)i, &back), 0);
		assert_true(keep_eq(back, span_of(values[i].p, values[i].n)));
		keep_free(back);
	}
	randombytes_buf(big, sizeof(big));
	backend_budget(b, backend_now_ms());
	assert_int_equal(
	    b->ops->put(b, "big", 1, span_of(big, sizeof(big))), 0);
	assert_int_equal(b->ops->get(b, "big", 1, &back), 0);
	assert_true(keep_eq(back, span_of(big, sizeof(big))));
	keep_free(back);
	assert_int_equal(b->ops->delete (b, "big", 1), 0);
	assert_int_equal(b->ops->get(b, "big", 1, &back), ERR_NOT_FOUND);
	assert_int_equal(b->ops->delete (b, "big", 1), 0);
	backend_close(b);
	store_close(s);
	keep_free(key);
	while (!d->v.ready)
		ev_run(d->v.loop, EVRUN_ONCE);
}

/* --- migration ------------------------------------------------------- */

static void
start_again(struct vault *v)
{
	assert_int_equal(vault_reap(v), 0);
	vault_start(v);
}

static void
credentials_move_into_the_keychain_and_out(void **state)
{
	struct desk *d = *state;
	struct vault *v = &d->v;
	char path[128], *db;

	vault_kill(v);
	snprintf(path, sizeof(path), "%s/vault.db", v->state);
	unlink(path);
	use_key_file(v, "key");
	vault_start(v);
	add(v, "one", VALUE "-1");
	add(v, "two", VALUE "-2");
	do_good(v, "credential.rotate", "{\"name\":\"two\"}", VALUE "-3");
	do_good(v, "migrate", "{\"to\":\"secret-service\"}", NULL);
	start_again(v);
	wait_until_open(d);
	expect_secret(v, "one", VALUE "-1");
	expect_secret(v, "two", VALUE "-3");
	json_t *j = good(v, "status", "{}", NULL);
	assert_string_equal(json_text(j, "backend"), "secret-service");
	json_decref(j);
	vault_kill(v);
	vault_start(v);
	wait_until_open(d);
	expect_secret(v, "two", VALUE "-3");
	/* And out, under a passphrase. */
	do_good(v, "migrate", "{\"to\":\"sealed-file\",\"key\":\"passphrase\"}",
	    "correct horse");
	end_process(&d->provider);
	expect_secret(v, "one", VALUE "-1");
	vault_kill(v);
	vault_start(v);
	do_good(v, "unlock", "{}", "correct horse");
	expect_secret(v, "two", VALUE "-3");
	size_t n = read_file(path, &db);
	assert_null(memmem(db, n, "canary", 6));
	free(db);
}

/* Killed anywhere on the way, the credentials are whole somewhere. */
static void
kill_9_during_a_migration_loses_nothing(void **state)
{
	struct desk *d = *state;
	struct vault *v = &d->v;
	char path[128], name[16], value[64];

	vault_kill(v);
	snprintf(path, sizeof(path), "%s/vault.db", v->state);
	unlink(path);
	use_key_file(v, "key");
	vault_start(v);
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "c-%d", i);
		snprintf(value, sizeof(value), VALUE "-%d", i);
		add(v, name, value);
	}
	do_good(v, "migrate", "{\"to\":\"secret-service\"}", NULL);
	assert_int_equal(vault_reap(v), 0);
	for (int round = 0; round < 8; round++) {
		vault_spawn(v);
		usleep((useconds_t)(15000 * round + 5000));
		vault_kill(v);
	}
	vault_start(v);
	wait_until_open(d);
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "c-%d", i);
		snprintf(value, sizeof(value), VALUE "-%d", i);
		expect_secret(v, name, value);
	}
}

/* --- without a provider ---------------------------------------------- */

static void
no_bus_is_said(void **state)
{
	struct desk *d = *state;

	vault_start(&d->v);
	refused(&d->v, "credential.list", "{}", NULL, ERR_UNAVAILABLE, "bus");
	expect_status(d, "unavailable");
	/* No silent fallback: nothing was made. */
	refused(&d->v, "credential.add", "{\"name\":\"x\",\"kind\":\"bearer\"}",
	    VALUE, ERR_UNAVAILABLE, "bus");
	/* A bus without a keychain. */
	d->bus = provide(d, "bus", NULL);
	refused(&d->v, "credential.list", "{}", NULL, ERR_UNAVAILABLE,
	    "No keychain");
	/* A keychain that comes later is found. */
	d->provider = provide(d, "gnome", "pass");
	wait_until_open(d);
	add(&d->v, "demo", VALUE);
	/* The whole bus goes. */
	end_process(&d->bus);
	end_process(&d->provider);
	refused(&d->v, "credential.rotate", "{\"name\":\"demo\"}", VALUE,
	    ERR_UNAVAILABLE, "");
	expect_status(d, "unavailable");
}

static void
an_odd_bus_address_is_refused(void **state)
{
	struct desk *d = *state;

	setenv("DBUS_SESSION_BUS_ADDRESS", "unixexec:path=/bin/false", 1);
	vault_start(&d->v);
	refused(
	    &d->v, "credential.list", "{}", NULL, ERR_UNAVAILABLE, "address");
}

static void
a_keychain_locked_from_the_start_is_a_state(void **state)
{
	struct desk *d = *state;

	d->bus = provide(d, "bus", NULL);
	d->provider = provide(d, "gnome", "pass");
	vault_start(&d->v);
	wait_until_open(d);
	add(&d->v, "demo", VALUE);
	vault_kill(&d->v);
	end_process(&d->provider);
	d->provider = provide(d, "gnome-locked", NULL);
	vault_start(&d->v);
	json_t *j = good(&d->v, "status", "{}", NULL);
	assert_string_not_equal(json_text(j, "state"), "open");
	json_decref(j);
	struct reply r = call(&d->v, "credential.list", "{}", NULL);
	assert_true(r.err == ERR_LOCKED || r.err == ERR_UNAVAILABLE);
}

static int
run_all(const char *only)
{
#define G(f)                                                         \
	{                                                            \
		"gnome-keyring: " #f, f, setup_gnome, teardown, NULL \
	}
#define K(f)                                                         \
	{                                                            \
		"keepassxc: " #f, f, setup_keepassxc, teardown, NULL \
	}
#define B(f)                                      \
	{                                         \
#f, f, setup_bare, teardown, NULL \
	}
	const struct CMUnitTest tests[] = {
	    G(credentials_live_in_the_keychain),
	    G(a_removed_credential_leaves_no_entry),
	    G(a_locked_keychain_is_a_state),
	    G(a_killed_keychain_is_seen_and_found_again),
	    G(a_frozen_keychain_is_given_up),
	    G(any_bytes_come_back),
	    G(credentials_move_into_the_keychain_and_out),
	    G(kill_9_during_a_migration_loses_nothing),
	    B(no_bus_is_said),
	    B(an_odd_bus_address_is_refused),
	    B(a_keychain_locked_from_the_start_is_a_state),
	    K(credentials_live_in_the_keychain),
	    K(a_removed_credential_leaves_no_entry),
	    K(a_locked_keychain_is_a_state),
	    K(a_killed_keychain_is_seen_and_found_again),
	    K(a_frozen_keychain_is_given_up),
	    K(any_bytes_come_back),
	};
	if (only != NULL)
		cmocka_set_test_filter(only);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a failed test left behind: all that this process has started. */
static void
end_children(void)
{
	char path[64], text[4096];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	do {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = '\0';
		for (char *at = text; *at != '\0';) {
			pid_t pid = (pid_t)strtol(at, &at, 10);
			at += strspn(at, " ");
			end_process(&pid);
		}
	} while (n > 0);
}

static int
as_nobody(const char *only)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(99);
		print_message("# as an ordinary user\n");
		int r = run_all(only);
		end_children();
		exit(r);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int
main(int argc, char **argv)
{
	const char *script = "tests/keyring/provider.sh";

	if (argc == 2 && strcmp(argv[1], "lock") == 0)
		return lock_and_exit();
	script_fd = open(script, O_RDONLY | O_CLOEXEC);
	if (script_fd < 0) {
		print_message("not ok 1 - run me from the top directory\n");
		return 1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* what provider.sh leaves */
	const char *only = getenv("ONLY");
	if (only == NULL && getenv("HATCHECK_QUICK") != NULL)
		only = "gnome-keyring: cred*";
	int r = 0;
	if (geteuid() == 0) {
		/* Above the fds that the vault is born with. */
		int fd = open(program_path(), O_RDONLY | O_CLOEXEC);
		program_fd = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		/* First: GLib's threads do not fork. */
		r = as_nobody(only);
		if (only == NULL)
			only = "*credentials_live*";
	}
	r += run_all(only);
	end_children();
	return r;
}
