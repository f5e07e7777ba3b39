/* SPDX-License-Identifier: ISC */
/* Holds rules 2 and 9, requirements 10 (short values), 31a (two must
 * agree), 37 (a root per session), 43 (kill -9): the real hatcheck-vault in
 * its walls. */
#include "tests/unit/vault/driver.h"

#include "keys/ca.h"

#define VALUE "canary-value-0123456789"
#define DESC "{\"credentials\":[\"demo\"],\"hosts\":[\"api.demo.test\"]}"

static int
setup(void **state)
{
	struct vault *v = calloc(1, sizeof(*v));

	vault_home(v);
	use_key_file(v, "key");
	vault_start(v);
	*state = v;
	return 0;
}

static int
teardown(void **state)
{
	struct vault *v = *state;

	expect_not_logged(v, "canary-value");
	vault_clean(v);
	free(v);
	return 0;
}

static void
a_credential_reaches_only_a_courier_that_may_have_it(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int courier = peer(v, LINK_COURIER, "s-1", DESC);
	int other = peer(v, LINK_COURIER, "s-2",
	    "{\"credentials\":[],\"hosts\":[\"api.demo.test\"]}");
	struct lease_given m;

	assert_int_equal(lease(courier, 1, "demo", store).err, ERR_NOT_FOUND);
	add(v, "demo", VALUE);
	m = lease(courier, 2, "demo", store);
	assert_int_equal(m.err, 0);
	assert_true(span_is(m.secret, VALUE));
	assert_int_equal(m.version, 1);
	assert_non_null(
	    memmem(m.metadata.p, m.metadata.n, "api.demo.test", 13));
	m = lease(other, 3, "demo", store);
	assert_int_equal(m.err, ERR_DENIED);
	assert_int_equal(m.secret.n, 0);
	assert_int_equal(m.metadata.n, 0);
	/* What a descriptor takes away is gone at once. */
	describe(v, "s-1", "{\"credentials\":[],\"hosts\":[]}");
	expect_changed(courier, "demo", 0);
	assert_int_equal(lease(courier, 4, "demo", store).err, ERR_DENIED);
	buf_free(store);
	close(courier);
	close(other);
}

/* Our end of a link that the vault does not take up. */
static void
expect_not_taken(struct vault *v, const char *session, const char *descriptor)
{
	struct ctl_peer p = {.role = LINK_COURIER,
	    .session = span_str(session),
	    .descriptor = span_str(descriptor)};
	struct pollfd there = {.events = POLLIN};
	int pair[2];
	char c;

	assert_int_equal(link_pair(pair), 0);
	assert_int_equal(link_send(v->control, &msg_peer, &p, pair[1]), 0);
	assert_int_equal(link_flush(v->control, LONG_MS), 0);
	there.fd = pair[0];
	assert_int_equal(poll(&there, 1, LONG_MS), 1);
	assert_int_equal(read(pair[0], &c, 1), 0);
	close(pair[0]);
}

/* A descriptor that cannot be used is one session's misfortune. */
static void
a_broken_descriptor_breaks_its_session_alone(void **state)
{
	static const char *const broken[] = {"", "{}",
	    "{\"credentials\":[\"demo\"]}",
	    "{\"credentials\":[7],\"hosts\":[]}"};
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX),
		   *many = buf_new(65536);
	int courier = peer(v, LINK_COURIER, "s-1", DESC);
	int r = buf_put_str(many, "{\"credentials\":[],\"hosts\":[\"h.test\"");

	for (int i = 0; r == 0 && i < CA_NAMES_MAX; i++)
		r = buf_printf(many, ",\"h%d.test\"", i);
	assert_int_equal(r != 0 ? r : buf_put(many, "]}", 3), 0);
	add(v, "demo", VALUE);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		expect_not_taken(v, "s-2", broken[i]);
	expect_not_taken(v, "s-2", (const char *)buf_span(many).p);
	assert_int_equal(lease(courier, 1, "demo", store).err, 0);
	/* Whoever had something before has nothing then. */
	describe(v, "s-1", (const char *)buf_span(many).p);
	expect_changed(courier, "demo", 0);
	assert_int_equal(lease(courier, 2, "demo", store).err, ERR_DENIED);
	buf_free(store);
	buf_free(many);
	close(courier);
}

static void
changes_are_settled_before_they_are_acknowledged(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int courier = peer(v, LINK_COURIER, "s-1", DESC);
	int err, asked;
	struct reply r;

	add(v, "demo", VALUE);
	assert_int_equal(lease(courier, 1, "demo", store).err, 0);
	asked = ask(v, "credential.rotate", "{\"name\":\"demo\"}",
	    span_str(VALUE "-2"), &err);
	assert_int_equal(err, 0);
	uint32_t serial = told_changed(courier, "demo", 2);
	/* The vault goes on, but that answer waits for the courier. */
	do_good(v, "status", "{}", NULL);
	expect_silence(asked);
	say_settled(courier, serial);
	assert_int_equal(answered(asked, &r), 0);
	assert_int_equal(r.err, 0);
	json_decref(r.json);
	struct lease_given m = lease(courier, 2, "demo", store);
	assert_true(span_is(m.secret, VALUE "-2"));
	assert_int_equal(m.version, 2);
	do_settled(v, "credential.bind",
	    "{\"name\":\"demo\",\"bindings\":[{\"hosts\":[\"x.demo.test\"],"
	    "\"slot\":{\"type\":\"header\",\"name\":\"x-key\"}}]}",
	    NULL, courier, 2);
	m = lease(courier, 3, "demo", store);
	assert_null(memmem(m.metadata.p, m.metadata.n, "api.demo", 8));
	assert_non_null(memmem(m.metadata.p, m.metadata.n, "x-key", 5));
	do_settled(
	    v, "credential.remove", "{\"name\":\"demo\"}", NULL, courier, 0);
	assert_int_equal(lease(courier, 4, "demo", store).err, ERR_NOT_FOUND);
	/* One that leased nothing since is left alone. */
	add(v, "demo", VALUE);
	expect_silence(courier);
	buf_free(store);
	close(courier);
}

/* Its death is an answer, too; and only that of the one that was asked. */
static void
the_silent_are_killed_before_it_is_acknowledged(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int courier = peer(v, LINK_COURIER, "s-1", DESC);
	int other = peer(v, LINK_COURIER, "s-2", DESC);
	int err, asked;
	struct reply r;

	add(v, "demo", VALUE);
	assert_int_equal(lease(courier, 1, "demo", store).err, 0);
	assert_int_equal(lease(other, 1, "demo", store).err, 0);
	asked = ask(v, "credential.rotate", "{\"name\":\"demo\"}",
	    span_str(VALUE "-2"), &err);
	assert_int_equal(err, 0);
	expect_changed(other, "demo", 2);
	(void)told_changed(courier, "demo", 2);
	while (v->killed[0] == '\0')
		ev_run(v->loop, EVRUN_ONCE);
	assert_string_equal(v->killed, "s-1");
	do_good(v, "status", "{}", NULL);
	expect_silence(asked);
	close(courier); /* as its death does */
	assert_int_equal(answered(asked, &r), 0);
	assert_int_equal(r.err, 0);
	json_decref(r.json);
	buf_free(store);
	close(other);
}

static void
locking_takes_everything_back(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int courier = peer(v, LINK_COURIER, "s-1", DESC);
	int minter = peer(v, LINK_MINTER, "", "");

	expect_state(minter, VAULT_OPEN);
	add(v, "demo", VALUE);
	assert_int_equal(lease(courier, 1, "demo", store).err, 0);
	do_settled(v, "lock", "{}", NULL, courier, 0);
	expect_state(minter, VAULT_LOCKED);
	assert_int_equal(lease(courier, 2, "demo", store).err, ERR_LOCKED);
	refused(v, "credential.list", "{}", NULL, ERR_LOCKED, "locked");
	do_good(v, "unlock", "{}", NULL);
	expect_state(minter, VAULT_OPEN);
	assert_int_equal(lease(courier, 3, "demo", store).err, 0);
	buf_free(store);
	close(courier);
	close(minter);
}

static void
everything_is_there_after_a_restart(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	struct keeper_put put = {
	    .rid = 7, .name = span_str("signing"), .bytes = span_str("K")};
	struct keeper_get get = {.rid = 8, .name = span_str("signing")};
	struct keeper_got got;
	int minter = peer(v, LINK_MINTER, "", "");

	expect_state(minter, VAULT_OPEN);
	assert_int_equal(
	    link_call_send(minter, &msg_keeper_get, &get, LONG_MS), 0);
	assert_int_equal(
	    link_call_receive(minter, &msg_keeper_got, &got, store, LONG_MS),
	    0);
	assert_int_equal(got.err, ERR_NOT_FOUND);
	assert_int_equal(
	    link_call_send(minter, &msg_keeper_put, &put, LONG_MS), 0);
	assert_int_equal(
	    link_call_receive(minter, &msg_keeper_got, &got, store, LONG_MS),
	    0);
	assert_int_equal(got.err, 0);
	assert_int_equal(got.rid, 7);
	add(v, "demo", VALUE);
	close(minter);
	assert_int_equal(vault_stop(v), 0);
	vault_start(v);
	minter = peer(v, LINK_MINTER, "", "");
	expect_state(minter, VAULT_OPEN);
	assert_int_equal(
	    link_call_send(minter, &msg_keeper_get, &get, LONG_MS), 0);
	assert_int_equal(
	    link_call_receive(minter, &msg_keeper_got, &got, store, LONG_MS),
	    0);
	assert_int_equal(got.err, 0);
	assert_true(span_is(got.bytes, "K"));
	struct keeper_credential ask = {.rid = 9, .name = span_str("demo")};
	struct keeper_credential_info info;
	assert_int_equal(
	    link_call_send(minter, &msg_keeper_credential, &ask, LONG_MS), 0);
	assert_int_equal(link_call_receive(minter, &msg_keeper_credential_info,
			     &info, store, LONG_MS),
	    0);
	assert_int_equal(info.err, 0);
	assert_null(memmem(info.json.p, info.json.n, "canary", 6));
	assert_non_null(memmem(info.json.p, info.json.n, "bearer", 6));
	buf_free(store);
	close(minter);
}

static void
ask_ca(int gate, EVP_PKEY *key, struct buf *root, struct buf *intermediate)
{
	struct buf *spki = buf_new(512), *store = buf_new(256 * 1024);
	struct ca_given m;

	assert_int_equal(ca_key_spki(key, spki), 0);
	struct ca_ask ask = {.rid = 5, .spki = buf_span(spki)};
	assert_int_equal(link_call_send(gate, &msg_ca_ask, &ask, LONG_MS), 0);
	assert_int_equal(
	    link_call_receive(gate, &msg_ca_given, &m, store, LONG_MS), 0);
	assert_int_equal(m.err, 0);
	assert_int_equal(m.rid, 5);
	buf_reset(root);
	buf_reset(intermediate);
	assert_int_equal(buf_put_span(root, m.root), 0);
	assert_int_equal(buf_put_span(intermediate, m.intermediate), 0);
	buf_free(spki);
	buf_free(store);
}

static bool
same(struct buf *a, struct buf *b)
{
	return span_eq(buf_span(a), buf_span(b));
}

static void
a_root_lives_as_long_as_its_session(void **state)
{
	struct vault *v = *state;
	struct buf *root = buf_new(65536), *again = buf_new(65536);
	struct buf *inter = buf_new(65536);
	struct ca_issuer *issuer = NULL;
	EVP_PKEY *key = NULL;
	X509 *leaf = NULL;
	int gate = peer(v, LINK_GATE, "s-1", DESC);

	assert_int_equal(ca_key_new(&key), 0);
	ask_ca(gate, key, root, inter);
	assert_int_equal(ca_issuer_open(buf_span(inter), buf_span(root), key,
			     time(NULL), &issuer),
	    0);
	assert_int_equal(
	    ca_leaf(issuer, "api.demo.test", time(NULL), &leaf), 0);
	X509_free(leaf);
	ca_issuer_free(issuer);
	/* Another session, another root. */
	int other = peer(v, LINK_GATE, "s-2", DESC);
	ask_ca(other, key, again, inter);
	assert_false(same(root, again));
	/* New hosts: told to ask again; the root stays. */
	struct buf *store = buf_new(4096);
	describe(v, "s-1", "{\"credentials\":[],\"hosts\":[\"*.other.test\"]}");
	assert_int_equal(
	    link_call_receive(gate, &msg_ca_stale, NULL, store, LONG_MS), 0);
	ask_ca(gate, key, again, inter);
	assert_true(same(root, again));
	/* A crash: the root stays. */
	vault_kill(v);
	vault_start(v);
	close(gate);
	gate = peer(v, LINK_GATE, "s-1", DESC);
	ask_ca(gate, key, again, inter);
	assert_true(same(root, again));
	/* The end: the root goes. */
	struct ctl_session_gone gone = {.session = span_str("s-1")};
	assert_int_equal(
	    link_send(v->control, &msg_session_gone, &gone, -1), 0);
	close(gate);
	gate = peer(v, LINK_GATE, "s-1", DESC);
	ask_ca(gate, key, again, inter);
	assert_false(same(root, again));
	EVP_PKEY_free(key);
	buf_free(store);
	buf_free(root);
	buf_free(again);
	buf_free(inter);
	close(gate);
	close(other);
}

static void
values_that_cannot_be_sent_or_scrubbed_are_refused(void **state)
{
	struct vault *v = *state;
	static const struct {
		const char *kind, *value, *saying;
	} rows[] = {
	    {"bearer", "0123456789\r\nX: y", "control"},
	    {"bearer", "0123456789abc\n", "line break"},
	    {"bearer", "0123456789 abc", "space"},
	    {"bearer", "0123456789\xff\xfe", "ASCII"},
	    {"bearer", "short", "12 bytes"},
	    {"header", " 0123456789abc", "space"},
	    {"header", "0123456789\tabc", "control"},
	    {"basic",
		"0123456789\x7f"
		"abc",
		"control"},
	    {"query", "0123456789\nabc", "control"},
	    {"cookie", "0123456789abc", "no kind"},
	};
	char json[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(json, sizeof(json),
		    "{\"name\":\"x\",\"kind\":\"%s\",\"bindings\":[]}",
		    rows[i].kind);
		refused(v, "credential.add", json, rows[i].value, ERR_ARGUMENT,
		    rows[i].saying);
	}
	do_good(v, "credential.add",
	    "{\"name\":\"x\",\"kind\":\"bearer\",\"bindings\":[],"
	    "\"unscrubbable\":true}",
	    "short");
	refused(v, "credential.add",
	    "{\"name\":\"x\",\"kind\":\"bearer\",\"bindings\":[]}", VALUE,
	    ERR_EXISTS, "already");
	/* A password with a space is fine until it is bound to a bearer. */
	do_good(v, "credential.add",
	    "{\"name\":\"y\",\"kind\":\"basic\",\"bindings\":[]}",
	    "correct horse battery");
	refused(v, "credential.bind",
	    "{\"name\":\"y\",\"bindings\":[{\"hosts\":[\"a.demo.test\"],"
	    "\"slot\":{\"type\":\"bearer\"}}]}",
	    NULL, ERR_ARGUMENT, "space");
}

static void
odd_requests_are_refused(void **state)
{
	struct vault *v = *state;

	refused(v, "credential.steal", "{}", NULL, ERR_ARGUMENT, "no such");
	refused(v, "status", "{", NULL, ERR_FORMAT, "JSON");
	refused(v, "status", "[]", NULL, ERR_FORMAT, "object");
	refused(v, "status", "{\"x\":1}", NULL, ERR_ARGUMENT, "does not take");
	refused(v, "credential.show", "{\"name\":\"nobody\"}", NULL,
	    ERR_NOT_FOUND, "nobody");
	refused(v, "credential.show", "{\"name\":7}", NULL, ERR_NOT_FOUND, "");
	refused(v, "credential.add", "{\"name\":\"x\",\"kind\":\"bearer\"}",
	    NULL, ERR_ARGUMENT, "no value");
	refused(v, "credential.add",
	    "{\"name\":\"x\",\"kind\":\"bearer\",\"version\":9}", VALUE,
	    ERR_ARGUMENT, "Version");
	refused(v, "credential.add", "{\"name\":\"../x\",\"kind\":\"bearer\"}",
	    VALUE, ERR_ARGUMENT, "");
}

static void
a_garbling_courier_loses_its_link_and_nobody_elses(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int bad = peer(v, LINK_COURIER, "s-1", DESC);
	int fine = peer(v, LINK_COURIER, "s-2", DESC);
	char byte;

	add(v, "demo", VALUE);
	assert_int_equal(write(bad, "garbage garbage garbage", 23), 23);
	struct pollfd p = {.fd = bad, .events = POLLIN};
	assert_int_equal(poll(&p, 1, LONG_MS), 1);
	assert_int_equal(read(bad, &byte, 1), 0);
	assert_int_equal(lease(fine, 1, "demo", store).err, 0);
	/* And so does a gate that asks for what is no key. */
	int gate = peer(v, LINK_GATE, "s-2", DESC);
	struct ca_ask ask = {.rid = 5, .spki = span_str("nonsense")};
	struct ca_given m;
	assert_int_equal(link_call_send(gate, &msg_ca_ask, &ask, LONG_MS), 0);
	assert_int_equal(
	    link_call_receive(gate, &msg_ca_given, &m, store, LONG_MS), 0);
	assert_int_not_equal(m.err, 0);
	assert_int_equal(m.root.n, 0);
	buf_free(store);
	close(bad);
	close(fine);
	close(gate);
}

/* While the worker is busy for long (here with a passphrase), a courier that
 * has much to say takes nobody else's place in its queue. */
static void
a_chattering_courier_leaves_room_for_others(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int courier = peer(v, LINK_COURIER, "s-1", DESC);
	int minter = peer(v, LINK_MINTER, "", "");
	struct lease_rejected m = {.credential = span_str("demo"),
	    .version = 1,
	    .host = span_str("api.demo.test")};
	struct keeper_get get = {.rid = 8, .name = span_str("signing")};
	struct keeper_got got;
	struct reply r;
	int err, backup;

	add(v, "demo", VALUE);
	expect_state(minter, VAULT_OPEN);
	backup = ask(v, "backup", "{}", span_str("correct horse battery"), &err);
	assert_int_equal(err, 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(link_call_send(courier, &msg_lease_rejected,
				     &m, LONG_MS),
		    0);
	assert_int_equal(
	    link_call_send(minter, &msg_keeper_get, &get, LONG_MS), 0);
	assert_int_equal(
	    link_call_receive(minter, &msg_keeper_got, &got, store, LONG_MS),
	    0);
	assert_int_equal(got.err, ERR_NOT_FOUND);
	assert_int_equal(lease(courier, 1, "demo", store).err, 0);
	assert_int_equal(answered(backup, &r), 0);
	json_decref(r.json);
	buf_free(store);
	close(courier);
	close(minter);
}

/* VmLck, in KiB. */
static unsigned
locked(const struct vault *v)
{
	char path[64], line[256];
	unsigned n = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)v->pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "VmLck: %u kB", &n);
	fclose(f);
	return n;
}

/* A courier that asks and does not read uses up little of the memory that
 * can be locked, of which there are 8 MiB, and is killed. */
static void
leases_that_nobody_takes_are_bounded(void **state)
{
	static char value[4001];
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int deaf = peer(v, LINK_COURIER, "s-1", DESC);
	int fine = peer(v, LINK_COURIER, "s-2", DESC);
	unsigned before, most = 0;

	memset(value, 'k', sizeof(value) - 1);
	add(v, "demo", value);
	assert_int_equal(lease(fine, 1, "demo", store).err, 0);
	before = locked(v);
	for (uint32_t i = 0; i < 200 && v->killed[0] == '\0'; i++) {
		for (uint32_t k = 0; k < 15; k++) {
			struct lease_ask m = {
			    .rid = k, .credential = span_str("demo")};
			if (link_call_send(deaf, &msg_lease_ask, &m, LONG_MS) !=
			    0)
				break; /* it is cut off already */
		}
		/* The worker goes by turns: those before are done then. */
		assert_int_equal(lease(fine, i, "demo", store).err, 0);
		unsigned now = locked(v);
		most = now > most ? now : most;
		ev_run(v->loop, EVRUN_NOWAIT);
	}
	assert_string_equal(v->killed, "s-1");
	assert_in_range(most, before, before + 640);
	buf_free(store);
	close(deaf);
	close(fine);
}

static void
another_user_is_turned_away_unread(void **state)
{
	struct vault *v = *state;
	int status = 0;

	if (geteuid() != 0) {
		print_message("# skipped: needs root to be somebody else\n");
		return;
	}
	assert_int_equal(chmod(v->home, 0711), 0);
	assert_int_equal(chmod(v->sock, 0777), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		if (setuid(65534) != 0)
			_exit(9);
		int fd = connect_vault(v);
		/* Not even a hello. */
		_exit(read(fd, &byte, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	do_good(v, "status", "{}", NULL);
}

static void
versions_are_kept_and_bounded(void **state)
{
	struct vault *v = *state;
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int courier = peer(v, LINK_COURIER, "s-1", DESC);
	char value[64];

	add(v, "demo", VALUE);
	for (int i = 2; i <= 12; i++) {
		snprintf(value, sizeof(value), VALUE "-%d", i);
		do_good(v, "credential.rotate", "{\"name\":\"demo\"}", value);
	}
	struct lease_given m = lease(courier, 1, "demo", store);
	assert_int_equal(m.version, 12);
	assert_true(span_is(m.secret, VALUE "-12"));
	do_settled(
	    v, "credential.remove", "{\"name\":\"demo\"}", NULL, courier, 0);
	add(v, "demo", VALUE);
	m = lease(courier, 2, "demo", store);
	assert_int_equal(m.version, 1);
	buf_free(store);
	close(courier);
}

/* --- passphrases, migration, backup ---------------------------------- */

static void
a_passphrase_locks_and_unlocks(void **state)
{
	struct vault *v = *state;
	json_t *j;

	assert_int_equal(vault_stop(v), 0);
	char path[128];
	snprintf(path, sizeof(path), "%s/vault.db", v->state);
	unlink(path);
	configure(v, "{\"backend\":\"sealed-file\",\"key\":\"passphrase\"}");
	vault_start(v);
	j = good(v, "status", "{}", NULL);
	assert_string_equal(json_text(j, "state"), "locked");
	json_decref(j);
	refused(v, "unlock", "{}", NULL, ERR_LOCKED, "passphrase");
	refused(v, "unlock", "{}", "short", ERR_ARGUMENT, "at least");
	do_good(v, "unlock", "{}", "correct horse");
	add(v, "demo", VALUE);
	assert_int_equal(vault_stop(v), 0);
	vault_start(v);
	refused(v, "credential.list", "{}", NULL, ERR_LOCKED, "passphrase");
	refused(v, "unlock", "{}", "wrong horse!", ERR_CRYPTO, "wrong");
	do_good(v, "unlock", "{}", "correct horse");
	j = good(v, "credential.show", "{\"name\":\"demo\"}", NULL);
	json_decref(j);
	expect_not_logged(v, "horse");
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

static void
the_key_can_be_changed(void **state)
{
	struct vault *v = *state;
	char json[256], path[128];
	uint8_t key[32];
	json_t *j;

	add(v, "demo", VALUE);
	j = good(v, "migrate",
	    "{\"to\":\"sealed-file\",\"key\":\"passphrase\"}", "correct horse");
	assert_int_equal(
	    json_integer_value(json_object_get(j, "credentials")), 1);
	json_decref(j);
	expect_secret(v, "demo", VALUE);
	vault_kill(v);
	vault_start(v);
	refused(v, "credential.list", "{}", NULL, ERR_LOCKED, "passphrase");
	do_good(v, "unlock", "{}", "correct horse");
	expect_secret(v, "demo", VALUE);
	/* Another passphrase; the old one is gone. */
	do_good(v, "migrate", "{\"to\":\"sealed-file\",\"key\":\"passphrase\"}",
	    "other horse");
	vault_kill(v);
	vault_start(v);
	refused(v, "unlock", "{}", "correct horse", ERR_CRYPTO, "wrong");
	do_good(v, "unlock", "{}", "other horse");
	/* To a key file: it lies outside the walls, so by way of a restart. */
	snprintf(path, sizeof(path), "%s/elsewhere", v->home);
	randombytes_buf(key, sizeof(key));
	write_file(path, key, sizeof(key));
	snprintf(json, sizeof(json),
	    "{\"to\":\"sealed-file\",\"key\":\"key-file\",\"path\":\"%s\"}",
	    path);
	j = good(v, "migrate", json, NULL);
	assert_true(json_is_true(json_object_get(j, "pending")));
	json_decref(j);
	assert_int_equal(vault_reap(v), 0);
	vault_start(v);
	do_good(v, "unlock", "{}", "other horse"); /* and it moves */
	expect_secret(v, "demo", VALUE);
	vault_kill(v);
	vault_start(v);
	expect_secret(v, "demo", VALUE);
	/* To where nothing is: it stays as it was, and says why. */
	j = good(v, "migrate",
	    "{\"to\":\"sealed-file\",\"key\":\"key-file\","
	    "\"path\":\"/nonexistent/key\"}",
	    NULL);
	json_decref(j);
	assert_int_equal(vault_reap(v), 0);
	vault_start(v);
	expect_secret(v, "demo", VALUE);
	j = good(v, "status", "{}", NULL);
	assert_string_equal(json_text(j, "state"), "open");
	assert_non_null(strstr(json_text(j, "why"), "failed"));
	json_decref(j);
	vault_kill(v);
	vault_start(v);
	expect_secret(v, "demo", VALUE);
}

static json_t *
backup(struct vault *v, const char *passphrase)
{
	json_t *j = good(v, "backup", "{}", passphrase);

	assert_true(json_is_false(json_object_get(j, "more")));
	return j;
}

static void
restore(
    struct vault *v, const char *text, const char *passphrase, struct reply *r)
{
	char *json = malloc(strlen(text) + 64);

	sprintf(json, "{\"backup\":\"%s\",\"part\":0,\"more\":false}", text);
	*r = call(v, "restore", json, passphrase);
	free(json);
}

static void
a_backup_comes_back_whole_or_not_at_all(void **state)
{
	struct vault *v = *state;
	struct reply r;
	json_t *j;

	add(v, "one", VALUE "-one");
	add(v, "two", VALUE "-two");
	j = backup(v, "a backup passphrase");
	const char *text = json_text(j, "backup");
	/* Onto itself: identical, so fine. */
	restore(v, text, "a backup passphrase", &r);
	assert_int_equal(r.err, 0);
	json_decref(r.json);
	restore(v, text, "another passphrase", &r);
	assert_int_equal(r.err, ERR_CRYPTO);
	/* A name taken by another: nothing is touched. */
	do_good(v, "credential.remove", "{\"name\":\"one\"}", NULL);
	do_good(v, "credential.rotate", "{\"name\":\"two\"}", VALUE "-new");
	restore(v, text, "a backup passphrase", &r);
	assert_int_equal(r.err, ERR_EXISTS);
	refused(v, "credential.show", "{\"name\":\"one\"}", NULL, ERR_NOT_FOUND,
	    "one");
	expect_secret(v, "two", VALUE "-new");
	/* Free names: all is back. */
	do_good(v, "credential.remove", "{\"name\":\"two\"}", NULL);
	restore(v, text, "a backup passphrase", &r);
	assert_int_equal(r.err, 0);
	assert_int_equal(
	    json_integer_value(json_object_get(r.json, "credentials")), 2);
	json_decref(r.json);
	expect_secret(v, "one", VALUE "-one");
	expect_secret(v, "two", VALUE "-two");
	/* Each fifth byte changed: refused. */
	char *bad = strdup(text);
	for (size_t i = 0; i < strlen(text); i += strlen(text) / 5) {
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		restore(v, bad, "a backup passphrase", &r);
		assert_int_not_equal(r.err, 0);
		json_decref(r.json);
		bad[i] = text[i];
	}
	free(bad);
	json_decref(j);
}

/* Requirement 43: what was acknowledged is there, whenever the kill came. */
static void
kill_9_loses_nothing_acknowledged(void **state)
{
	struct vault *v = *state;
	bool acked[80] = {false};
	char name[32], value[64], json[256];
	int n = 0;

	for (int round = 0; round < 8; round++) {
		pid_t killer = fork();
		if (killer == 0) {
			/* Later in each round: a busy disk needs longer. */
			usleep((useconds_t)(2000 + round * 40000 +
					    (int)randombytes_uniform(30000)));
			kill(v->pid, SIGKILL);
			_exit(0);
		}
		for (; n < (round + 1) * 10; n++) {
			snprintf(name, sizeof(name), "c-%d", n);
			snprintf(value, sizeof(value), VALUE "-%d", n);
			snprintf(json, sizeof(json),
			    "{\"name\":\"%s\",\"kind\":\"bearer\"}", name);
			/* After the kill the backlog still takes us in. */
			if (kill(v->pid, 0) != 0 ||
			    waitpid(v->pid, NULL, WNOHANG) == v->pid)
				break;
			int fd = connect_vault(v);
			struct vault_request q = {
			    .verb = span_str("credential.add"),
			    .json = span_str(json),
			    .secret = span_str(value)};
			struct vault_reply m;
			struct buf *store =
			    buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
			if (link_call_hello(fd, LINK_CLI, LINK_VAULT, 500) ==
				0 &&
			    link_call_send(fd, &msg_vault_request, &q, 2000) ==
				0 &&
			    link_call_receive(
				fd, &msg_vault_reply, &m, store, 2000) == 0)
				acked[n] = m.err == 0;
			buf_free(store);
			close(fd);
		}
		n = (round + 1) * 10;
		waitpid(killer, NULL, 0);
		kill(v->pid, SIGKILL);
		waitpid(v->pid, NULL, 0);
		link_free(v->control);
		v->control = NULL;
		v->pid = 0;
		vault_start(v);
	}
	int seen = 0;
	for (int i = 0; i < 80; i++) {
		if (!acked[i])
			continue;
		snprintf(name, sizeof(name), "c-%d", i);
		snprintf(value, sizeof(value), VALUE "-%d", i);
		expect_secret(v, name, value);
		seen++;
	}
	print_message("# %d of 80 acknowledged, all there\n", seen);
	assert_true(seen > 0);
}

static void
without_configuration_it_says_so(void **state)
{
	struct vault *v = *state;
	char path[128];
	json_t *j;

	assert_int_equal(vault_stop(v), 0);
	snprintf(path, sizeof(path), "%s/vault.json", v->config);
	unlink(path);
	vault_start(v);
	refused(
	    v, "credential.list", "{}", NULL, ERR_UNAVAILABLE, "not set up");
	j = good(v, "status", "{}", NULL);
	assert_string_equal(json_text(j, "state"), "uninitialised");
	json_decref(j);
	/* init comes: it starts again, with the walls of that choice. */
	use_key_file(v, "key2");
	assert_int_equal(vault_reap(v), 0);
	vault_start(v);
	j = good(v, "status", "{}", NULL);
	assert_string_equal(json_text(j, "backend"), "sealed-file");
	json_decref(j);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_credential_reaches_only_a_courier_that_may_have_it),
	    T(a_broken_descriptor_breaks_its_session_alone),
	    T(changes_are_settled_before_they_are_acknowledged),
	    T(the_silent_are_killed_before_it_is_acknowledged),
	    T(locking_takes_everything_back),
	    T(everything_is_there_after_a_restart),
	    T(a_root_lives_as_long_as_its_session),
	    T(values_that_cannot_be_sent_or_scrubbed_are_refused),
	    T(odd_requests_are_refused),
	    T(a_garbling_courier_loses_its_link_and_nobody_elses),
	    T(a_chattering_courier_leaves_room_for_others),
	    T(leases_that_nobody_takes_are_bounded),
	    T(another_user_is_turned_away_unread),
	    T(versions_are_kept_and_bounded),
	    T(a_passphrase_locks_and_unlocks),
	    T(the_key_can_be_changed),
	    T(a_backup_comes_back_whole_or_not_at_all),
	    T(kill_9_loses_nothing_acknowledged),
	    T(without_configuration_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
