/* SPDX-License-Identifier: ISC */
/*
 * The real hatcheck-vault, in its walls, with this test as its supervisor,
 * minter, courier, gate and CLI.
 */
#ifndef TESTS_VAULT_DRIVER_H
#define TESTS_VAULT_DRIVER_H

#include "keys/json.h"
#include "lib/link.h"
#include "lib/secret.h"
#include "messages/ca.h"
#include "messages/control.h"
#include "messages/keeper.h"
#include "messages/lease.h"
#include "messages/vault_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define LONG_MS 60000 /* generous: nothing here measures time */

struct vault {
	char home[64];
	char config[96], state[96], sock[96], log[96];
	struct ev_loop *loop;
	struct link *control;
	char killed[SESSION_ID_MAX + 1]; /* the session that it wants dead */
	bool ready;
	pid_t pid;
	int listen_fd;
};

static inline void
write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static inline size_t
read_file(const char *path, char **out)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	*out = calloc(1, (size_t)st.st_size + 1);
	assert_int_equal(read(fd, *out, (size_t)st.st_size), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static inline void
configure(struct vault *v, const char *fmt, ...)
{
	char path[128], text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/vault.json", v->config);
	write_file(path, text, strlen(text));
}

static inline void
use_key_file(struct vault *v, const char *name)
{
	uint8_t key[32];
	char path[128];

	randombytes_buf(key, sizeof(key));
	snprintf(path, sizeof(path), "%s/%s", v->config, name);
	write_file(path, key, sizeof(key));
	configure(v,
	    "{\"backend\":\"sealed-file\",\"key\":\"key-file\","
	    "\"path\":\"%s\"}",
	    path);
}

static inline void
vault_home(struct vault *v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memset(v, 0, sizeof(*v));
	assert_true(sodium_init() >= 0);
	snprintf(v->home, sizeof(v->home), "/tmp/hatcheck-vault-XXXXXX");
	assert_non_null(mkdtemp(v->home));
	snprintf(v->config, sizeof(v->config), "%s/config", v->home);
	snprintf(v->state, sizeof(v->state), "%s/state", v->home);
	snprintf(v->sock, sizeof(v->sock), "%s/vault.sock", v->home);
	snprintf(v->log, sizeof(v->log), "%s/log", v->home);
	assert_int_equal(mkdir(v->config, 0700), 0);
	assert_int_equal(mkdir(v->state, 0700), 0);
	v->loop = ev_loop_new(EVFLAG_AUTO);
	v->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", v->sock);
	assert_int_equal(
	    bind(v->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(v->listen_fd, 16), 0);
}

static inline int
on_ready_(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)m;
	(void)fd;
	((struct vault *)ctx)->ready = true;
	return 0;
}

static int
on_kill_(void *ctx, struct link *l, const void *m, int fd)
{
	struct vault *v = ctx;

	(void)l;
	(void)fd;
	assert_int_equal(
	    span_copy(((const struct ctl_session_kill *)m)->session, v->killed,
		sizeof(v->killed)),
	    0);
	return 0;
}

static const struct link_rule control_rules_[] = {
    {&msg_ready, on_ready_},
    {&msg_session_kill, on_kill_},
};

static inline const char *
program_path(void)
{
	static char path[512];
	const char *out = getenv("HATCHECK_OUT");
	ssize_t n;

	if (out != NULL) {
		snprintf(path, sizeof(path), "%s/bin/hatcheck-vault", out);
		return path;
	}
	/* out/MODE/unit/vault/test_x */
	n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	assert_true(n > 0);
	path[n] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/bin/hatcheck-vault");
	return path;
}

/* Opened before a test becomes a user that may not reach it by path. */
static int program_fd = -1;

static inline void
exec_vault(struct vault *v, int control)
{
	int log = open(v->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	char name[] = "hatcheck-vault", c[] = "--config", s[] = "--state";
	char *argv[] = {name, c, v->config, s, v->state, NULL};
	int control_dup = fcntl(control, F_DUPFD, 10);
	int listen_dup = fcntl(v->listen_fd, F_DUPFD, 10);

	if (log < 0 || control_dup < 0 || listen_dup < 0)
		_exit(126);
	dup2(log, 2);
	dup2(control_dup, CONTROL_FD);
	dup2(listen_dup, LISTEN_FD);
	if (program_fd >= 0)
		fexecve(program_fd, argv, environ);
	else
		execv(program_path(), argv);
	_exit(127);
}

static inline void
vault_spawn(struct vault *v)
{
	struct link_options o = {.self = LINK_SUPERVISOR,
	    .peer = LINK_VAULT,
	    .rules = control_rules_,
	    .n_rules = sizeof(control_rules_) / sizeof(control_rules_[0]),
	    .ctx = v};
	int pair[2];

	assert_int_equal(link_pair(pair), 0);
	v->ready = false;
	v->pid = fork();
	assert_true(v->pid >= 0);
	if (v->pid == 0)
		exec_vault(v, pair[1]);
	close(pair[1]);
	assert_int_equal(link_new(v->loop, pair[0], &o, &v->control), 0);
}

static inline void
vault_start(struct vault *v)
{
	vault_spawn(v);
	while (!v->ready && !link_broken(v->control))
		ev_run(v->loop, EVRUN_ONCE);
	if (!v->ready) {
		char *log;
		read_file(v->log, &log);
		fail_msg("the vault did not start: %s", log);
	}
}

/* The exit status as waitpid gives it. */
static inline int
vault_reap(struct vault *v)
{
	int status = -1;

	assert_int_equal(waitpid(v->pid, &status, 0), v->pid);
	link_free(v->control);
	v->control = NULL;
	v->pid = 0;
	return status;
}

static inline int
vault_stop(struct vault *v)
{
	assert_int_equal(link_send(v->control, &msg_stop, NULL, -1), 0);
	assert_int_equal(link_flush(v->control, LONG_MS), 0);
	return vault_reap(v);
}

static inline void
vault_kill(struct vault *v)
{
	kill(v->pid, SIGKILL);
	(void)vault_reap(v);
}

static inline void
vault_clean(struct vault *v)
{
	char command[128];

	if (v->pid != 0) {
		/* Whatever happened, it lives. */
		assert_int_equal(waitpid(v->pid, NULL, WNOHANG), 0);
		vault_kill(v);
	}
	close(v->listen_fd);
	ev_loop_destroy(v->loop);
	snprintf(command, sizeof(command), "rm -rf %s", v->home);
	assert_int_equal(system(command), 0);
}

/* Our end of a new link of the vault's. */
static inline int
peer(struct vault *v, enum link_role role, const char *session,
    const char *descriptor)
{
	struct ctl_peer p = {.role = (uint8_t)role,
	    .session = span_str(session),
	    .descriptor = span_str(descriptor)};
	int pair[2];

	assert_int_equal(link_pair(pair), 0);
	assert_int_equal(link_send(v->control, &msg_peer, &p, pair[1]), 0);
	assert_int_equal(link_flush(v->control, LONG_MS), 0);
	assert_int_equal(
	    link_call_hello(pair[0], role, LINK_VAULT, LONG_MS), 0);
	return pair[0];
}

static inline void
describe(struct vault *v, const char *session, const char *descriptor)
{
	struct ctl_descriptor d = {
	    .session = span_str(session), .descriptor = span_str(descriptor)};

	assert_int_equal(link_send(v->control, &msg_descriptor, &d, -1), 0);
	assert_int_equal(link_flush(v->control, LONG_MS), 0);
}

/* A reply that outlives its buffer. */
struct reply {
	int err;
	json_t *json;
	char what[1025], next[1025];
};

static inline int
connect_vault(struct vault *v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", v->sock);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Ask; the answer is answered()'s to take, or *err says why not. */
static inline int
ask(struct vault *v, const char *verb, const char *json, struct span secret,
    int *err)
{
	struct vault_request q = {
	    .verb = span_str(verb), .json = span_str(json), .secret = secret};
	int fd = connect_vault(v);

	if ((*err = link_call_hello(fd, LINK_CLI, LINK_VAULT, LONG_MS)) == 0)
		*err = link_call_send(fd, &msg_vault_request, &q, LONG_MS);
	return fd;
}

/* ERR_* of the connection itself; r is filled when 0. Closes fd. */
static inline int
answered(int fd, struct reply *r)
{
	struct buf *store = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	struct vault_reply m;
	int err;

	if ((err = link_call_receive(
		 fd, &msg_vault_reply, &m, store, LONG_MS)) == 0) {
		memset(r, 0, sizeof(*r));
		r->err = m.err;
		if (m.json.n != 0)
			r->json = json_loadb(
			    (const char *)m.json.p, m.json.n, 0, NULL);
		assert_int_equal(
		    span_copy(m.what, r->what, sizeof(r->what)), 0);
		assert_int_equal(
		    span_copy(m.next, r->next, sizeof(r->next)), 0);
	}
	buf_free(store);
	close(fd);
	return err;
}

/* ERR_* of the connection itself; r is filled when 0. */
static inline int
try_call(struct vault *v, const char *verb, const char *json,
    struct span secret, struct reply *r)
{
	int err, fd = ask(v, verb, json, secret, &err);

	if (err == 0)
		return answered(fd, r);
	close(fd);
	return err;
}

static inline struct reply
call(struct vault *v, const char *verb, const char *json, const char *secret)
{
	struct reply r;

	assert_int_equal(try_call(v, verb, json, span_str(secret), &r), 0);
	return r;
}

/* A call that must be good; its JSON. */
static inline json_t *
good(struct vault *v, const char *verb, const char *json, const char *secret)
{
	struct reply r = call(v, verb, json, secret);

	if (r.err != 0)
		fail_msg("%s: %s (%s)", verb, r.what, r.next);
	assert_non_null(r.json);
	return r.json;
}

static inline void
do_good(struct vault *v, const char *verb, const char *json, const char *secret)
{
	json_decref(good(v, verb, json, secret));
}

/* A call that must be refused so, saying so. */
static inline void
refused(struct vault *v, const char *verb, const char *json, const char *secret,
    int err, const char *saying)
{
	struct reply r = call(v, verb, json, secret);

	assert_int_equal(r.err, err);
	if (strstr(r.what, saying) == NULL)
		fail_msg(
		    "%s: \"%s\" does not say \"%s\"", verb, r.what, saying);
	json_decref(r.json);
}

static inline void
add(struct vault *v, const char *name, const char *value)
{
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"name\":\"%s\",\"kind\":\"bearer\",\"bindings\":"
	    "[{\"hosts\":[\"api.demo.test\"]}]}",
	    name);
	do_good(v, "credential.add", json, value);
}

static inline void
send_lease(int fd, uint32_t rid, const char *name)
{
	struct lease_ask ask = {.rid = rid, .credential = span_str(name)};

	assert_int_equal(link_call_send(fd, &msg_lease_ask, &ask, LONG_MS), 0);
}

/* store outlives the result. */
static inline struct lease_given
lease(int fd, uint32_t rid, const char *name, struct buf *store)
{
	struct lease_given m;

	send_lease(fd, rid, name);
	assert_int_equal(
	    link_call_receive(fd, &msg_lease_given, &m, store, LONG_MS), 0);
	assert_int_equal(m.rid, rid);
	return m;
}

/* The number that its settling is to say. */
static inline uint32_t
told_changed(int fd, const char *name, uint32_t version)
{
	struct buf *store = buf_new(4096);
	struct lease_changed m;

	assert_int_equal(
	    link_call_receive(fd, &msg_lease_changed, &m, store, LONG_MS), 0);
	assert_true(span_is(m.credential, name));
	assert_int_equal(m.version, version);
	buf_free(store);
	return m.serial;
}

static inline void
say_settled(int fd, uint32_t serial)
{
	struct lease_settled m = {.serial = serial};

	assert_int_equal(
	    link_call_send(fd, &msg_lease_settled, &m, LONG_MS), 0);
}

static inline void
expect_changed(int fd, const char *name, uint32_t version)
{
	say_settled(fd, told_changed(fd, name, version));
}

/* A good call that takes something from that courier, which settles it. */
static inline void
do_settled(struct vault *v, const char *verb, const char *json,
    const char *secret, int courier, uint32_t version)
{
	struct reply r;
	int err, fd = ask(v, verb, json, span_str(secret), &err);

	assert_int_equal(err, 0);
	expect_changed(courier, "demo", version);
	assert_int_equal(answered(fd, &r), 0);
	assert_int_equal(r.err, 0);
	json_decref(r.json);
}

/* Nothing waits to be read. */
static inline void
expect_silence(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

static inline void
expect_state(int fd, enum vault_state state)
{
	struct buf *store = buf_new(4096);
	struct keeper_state m;

	do {
		assert_int_equal(link_call_receive(
				     fd, &msg_keeper_state, &m, store, LONG_MS),
		    0);
	} while (m.state != state);
	buf_free(store);
}

static inline void
expect_not_logged(struct vault *v, const char *canary)
{
	char *log;
	size_t n = read_file(v->log, &log);

	assert_null(memmem(log, n, canary, strlen(canary)));
	free(log);
}

#endif
