/* SPDX-License-Identifier: ISC */
/*
 * A stand-in for one of hatcheckd's children, built by the tests with
 * -DSTANDIN=LINK_GATE and so on, from our own lib/ (so with our build id).
 * It does a child's duties towards the supervisor, tells on stderr what it
 * was given, and does what it is told:
 *
 *	minter	  a line on admin.sock becomes a wish to the supervisor
 *	gate	  a line on its channel: "pid", "attack NAME", "courier NAME"
 *	courier	  attacks when its gate says so
 *
 * gate and courier are hostile ones, behind the walls of the real ones.
 */
#include "lib/jail.h"
#include "lib/log.h"
#include "messages/bounds.h"
#include "messages/control.h"
#include "messages/traffic.h"
#include "lib/link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PEERS_MAX 64

static struct ev_loop *loop;
static struct link *control, *peers[PEERS_MAX];
static size_t n_peers;
static int client = -1;
static bool deaf;
static struct ev_io accepting;

static int
attack_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}
static int
attack_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}
static int
attack_connect(void)
{
	struct sockaddr_un a = {AF_UNIX, "/run/dbus/system_bus_socket"};

	return connect(CONTROL_FD, (struct sockaddr *)&a, sizeof(a));
}
static int
attack_bind(void)
{
	struct sockaddr_un a = {AF_UNIX, "/tmp/standin.sock"};

	return bind(CONTROL_FD, (struct sockaddr *)&a, sizeof(a));
}
static int
attack_create(void)
{
	return (int)syscall(
	    SYS_openat, AT_FDCWD, "/tmp/standin", O_WRONLY | O_CREAT, 0600);
}
static int
attack_exec(void)
{
	char *argv[] = {NULL};

	return execve("/bin/true", argv, argv);
}
static int
attack_ptrace(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), 0, 0);
}
static int
attack_kill(void)
{
	return kill(getppid(), SIGKILL);
}
static int
attack_readmem(void)
{
	return (int)syscall(
	    SYS_process_vm_readv, getppid(), NULL, 0UL, NULL, 0UL, 0UL);
}
static int
attack_memfd(void)
{
	return memfd_create("x", 0);
}
static int
attack_unlink(void)
{
	return unlink("/tmp/standin");
}
static int
attack_exit(void)
{
	_exit(7);
}
/* These are refused softly: succeed only if the wall has a hole. */
static int
attack_jit(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		   ? -1
		   : 0;
}
/* A socket that lingers holds up the neighbour that it is sent to. */
static int
attack_options(void)
{
	struct linger hour = {.l_onoff = 1, .l_linger = 3600};

	return setsockopt(
	    CONTROL_FD, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour));
}
/* Its session's audit log, which it may only make longer. */
static int
attack_truncate(void)
{
	return ftruncate(AUDIT_FD, 0);
}
/* Its session's log, for as long as there is room: into this file, and into
 * each one that comes after it. */
static int audit = AUDIT_FD;

static int
attack_fill(void)
{
	static const char piece[16384];
	ssize_t n = write(audit, piece, sizeof(piece));

	log_event(LOG_INFO, "filled", LOG_INT("bytes", n));
	return link_send(control, &msg_audit_long, NULL, -1) - 1;
}
static int
attack_flood(void)
{
	static const char piece[65536];
	ssize_t n = 1;

	for (int i = 0; i < 256 && n > 0; i++)
		n = write(audit, piece, sizeof(piece));
	return n > 0 ? 0 : -1;
}
/* Reading is the courier's right for CA files, and must end there. */
static int
attack_passwd(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}
static int
attack_proc(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/proc/1/cmdline", O_RDONLY);
}

/* Alive, but without a link to the supervisor. */
static int
attack_linger(void)
{
	link_free(control);
	control = NULL;
	return -1;
}

/* What the supervisor never gave. */
static int
attack_taken(void)
{
	return link_send(control, &msg_taken, NULL, -1) - 1;
}

static const struct {
	const char *name;
	int (*act)(void);
} attacks[] = {
    {"taken", attack_taken},
    {"linger", attack_linger},
    {"unix", attack_unix},
    {"inet", attack_inet},
    {"connect", attack_connect},
    {"bind", attack_bind},
    {"create", attack_create},
    {"exec", attack_exec},
    {"ptrace", attack_ptrace},
    {"kill", attack_kill},
    {"readmem", attack_readmem},
    {"memfd", attack_memfd},
    {"unlink", attack_unlink},
    {"exit", attack_exit},
    {"truncate", attack_truncate},
    {"fill", attack_fill},
    {"flood", attack_flood},
    {"jit", attack_jit},
    {"options", attack_options},
    {"passwd", attack_passwd},
    {"proc", attack_proc},
};
#define N_ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

static void
attack(size_t i)
{
	int r = attacks[i].act();

	log_event(LOG_INFO, r >= 0 ? "attack_succeeded" : "attack_refused",
	    LOG_STR("name", attacks[i].name));
}

static int
on_conn_end(void *ctx, struct link *l, const void *m, int fd)
{
	const struct traffic_conn_end *c = m;

	(void)ctx;
	(void)l;
	(void)fd;
	if (c->conn < N_ATTACKS)
		attack(c->conn);
	return 0;
}
static const struct link_rule peer_rules[] = {
    {&msg_traffic_conn_end, on_conn_end}};

static void
on_peer_break(void *ctx, struct link *l, int err)
{
	(void)ctx;
	(void)l;
	(void)err;
}

static int
on_peer(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_peer *p = m;
	struct link_options o = {.self = STANDIN,
	    .peer = (enum link_role)p->role,
	    .rules = peer_rules,
	    .n_rules = STANDIN == LINK_COURIER,
	    .on_break = on_peer_break};

	(void)ctx;
	(void)l;
	log_event(LOG_INFO, "peer",
	    LOG_STR("far", link_role_name((enum link_role)p->role)),
	    LOG_SPAN("session", p->session),
	    LOG_SPAN("descriptor", p->descriptor));
	return n_peers == PEERS_MAX ? ERR_TOO_BIG
				    : link_new(loop, fd, &o, &peers[n_peers++]);
}

static int
on_stop(void *ctx, struct link *l, const void *m, int fd)
{
	(void)ctx;
	(void)l;
	(void)m;
	(void)fd;
	log_event(LOG_INFO, "told_to_stop", LOG_INT("deaf", deaf));
	if (!deaf)
		exit(0);
	return 0;
}

static void
tell(const char *text)
{
	if (client >= 0 && write(client, text, strlen(text)) < 0)
		log_event(LOG_INFO, "client_gone", LOG_STR("text", text));
}

static int
on_done(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_done *d = m;
	char text[5000];

	(void)ctx;
	(void)l;
	(void)fd;
	snprintf(text, sizeof(text), "done %u %d %.*s %.*s\n", d->rid, d->err,
	    (int)d->channel_dir.n, (const char *)d->channel_dir.p,
	    (int)d->detail.n, (const char *)d->detail.p);
	tell(text);
	return 0;
}

static int
on_lost(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_session_lost *s = m;

	(void)ctx;
	(void)l;
	(void)fd;
	log_event(LOG_INFO, "lost", LOG_SPAN("session", s->session));
	return 0;
}

static int
on_process(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_process *p = m;

	(void)ctx;
	(void)l;
	(void)fd;
	log_event(LOG_INFO, "row",
	    LOG_STR("of", link_role_name((enum link_role)p->role)),
	    LOG_INT("state", p->state), LOG_INT("child", p->pid),
	    LOG_INT("restarts", p->restarts), LOG_SPAN("session", p->session));
	return 0;
}

static int
on_descriptor(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_descriptor *d = m;

	(void)ctx;
	(void)l;
	(void)fd;
	log_event(LOG_INFO, "descriptor", LOG_SPAN("session", d->session),
	    LOG_SPAN("descriptor", d->descriptor));
	return 0;
}

static int
on_gone(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_session_gone *g = m;

	(void)ctx;
	(void)l;
	(void)fd;
	log_event(LOG_INFO, "gone", LOG_SPAN("session", g->session));
	return 0;
}

static int
on_audit_next(void *ctx, struct link *l, const void *m, int fd)
{
	(void)ctx;
	(void)l;
	(void)m;
	audit = fd;
	return attack_fill() < 0 ? 0 : ERR_FORMAT;
}

static int
on_bounds(void *ctx, struct link *l, const void *m, int fd)
{
	(void)ctx;
	(void)l;
	(void)fd;
	return bounds_good(m) ? 0 : ERR_FORMAT;
}

static int
on_proxy(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_proxy *p = m;

	(void)ctx;
	(void)l;
	(void)fd;
	return p->kind == CTL_PROXY_NONE ? 0 : ERR_FORMAT;
}

/* Whoever waited has a channel, or a file, from now on. */
static int
on_given(void *ctx, struct link *l, const void *m, int fd)
{
	const struct ctl_given *g = m;

	(void)ctx;
	(void)l;
	log_event(LOG_INFO, "given", LOG_SPAN("session", g->session));
	if (STANDIN == LINK_GATE) {
		ev_io_set(&accepting, fd, EV_READ);
		ev_io_start(loop, &accepting);
	} else {
		audit = fd;
	}
	return 0;
}

static const struct link_rule control_rules[] = {
    {&msg_given, on_given},
    {&msg_bounds, on_bounds},
    {&msg_audit_next, on_audit_next},
    {&msg_proxy, on_proxy},
    {&msg_peer, on_peer},
    {&msg_stop, on_stop},
    {&msg_done, on_done},
    {&msg_session_lost, on_lost},
    {&msg_process, on_process},
    {&msg_descriptor, on_descriptor},
    {&msg_session_gone, on_gone},
};

static void
on_control_break(void *ctx, struct link *l, int err)
{
	(void)ctx;
	(void)l;
	(void)err;
	exit(0);
}

static void
must(int r)
{
	if (r != 0)
		log_fatal("standin_failed", err_text(r));
}

/* start RID ID UID DIR VAULT DIALER ("-": empty) */
static void
wish(char *line)
{
	static char empty[1];
	char *w[8] = {0}, *save = NULL;
	int n = 0;

	for (char *t = strtok_r(line, " \n", &save); t != NULL && n < 8;
	     t = strtok_r(NULL, " \n", &save))
		w[n++] = strcmp(t, "-") == 0 ? empty : t;
	if (n == 7 && strcmp(w[0], "start") == 0) {
		struct ctl_session_start m = {.rid = (uint32_t)atoi(w[1]),
		    .session = span_str(w[2]),
		    .guest = span_str("guest"),
		    .channel_uid = (uint32_t)atoi(w[3]),
		    .channel = span_str(w[4]),
		    .for_vault = span_str(w[5]),
		    .for_dialer = span_str(w[6])};
		must(link_send(control, &msg_session_start, &m, -1));
	} else if (n == 5 && strcmp(w[0], "update") == 0) {
		struct ctl_session_update m = {.rid = (uint32_t)atoi(w[1]),
		    .session = span_str(w[2]),
		    .for_vault = span_str(w[3]),
		    .for_dialer = span_str(w[4])};
		must(link_send(control, &msg_session_update, &m, -1));
	} else if (n == 3) {
		struct ctl_session_end m = {.rid = (uint32_t)atoi(w[1]),
		    .session = span_str(w[2]),
		    .kind = strcmp(w[0], "kill") == 0  ? CTL_KILL
			    : strcmp(w[0], "end") == 0 ? CTL_END
						       : 9};
		must(link_send(control, &msg_session_end, &m, -1));
	} else if (n == 1 && strcmp(w[0], "shutdown") == 0) {
		must(link_send(control, &msg_shutdown, NULL, -1));
	} else if (n == 1 && strcmp(w[0], "deaf") == 0) {
		deaf = true;
		tell("deaf\n");
	} else if (n == 1) {
		must(link_send(control, &msg_ready, NULL, -1));
	}
}

/* "pid", "attack NAME", "courier NAME" */
static void
order(char *line)
{
	char verb[16] = "", name[16] = "", text[64];

	(void)sscanf(line, "%15s %15s", verb, name);
	if (strcmp(verb, "pid") == 0) {
		snprintf(text, sizeof(text), "%d\n", (int)getpid());
		tell(text);
	}
	for (size_t i = 0; i < N_ATTACKS; i++) {
		struct traffic_conn_end m = {.conn = (uint32_t)i};
		if (strcmp(attacks[i].name, name) != 0)
			continue;
		if (strcmp(verb, "attack") == 0)
			attack(i);
		for (size_t k = 0; k < n_peers; k++) {
			if (strcmp(verb, "courier") == 0 &&
			    !link_broken(peers[k]))
				(void)!link_send(
				    peers[k], &msg_traffic_conn_end, &m, -1);
		}
		tell("tried\n");
	}
}

static void
on_line(struct ev_loop *l, struct ev_io *w, int events)
{
	char line[4096];
	ssize_t n = read(w->fd, line, sizeof(line) - 1);

	(void)events;
	if (n <= 0) {
		ev_io_stop(l, w);
		close(w->fd);
		if (client == w->fd)
			client = -1;
		free(w);
		return;
	}
	client = w->fd;
	line[n] = '\0';
	if (STANDIN == LINK_MINTER)
		wish(line);
	else
		order(line);
}

static void
on_accept(struct ev_loop *l, struct ev_io *w, int events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);
	struct ev_io *c = fd < 0 ? NULL : malloc(sizeof(*c));

	(void)events;
	if (c == NULL)
		return;
	ev_io_init(c, on_line, fd, EV_READ);
	ev_io_start(l, c);
}

static const struct jail_profile *
profile(void)
{
	static const struct jail_path paths[] = {{"/etc/ssl/certs", false}};
	static struct jail_profile p;

	p.role = link_role_name(STANDIN);
	p.calls =
	    STANDIN == LINK_COURIER ? JAIL_SYNC | JAIL_FILES_READ : JAIL_ACCEPT;
	p.paths = paths;
	p.n_paths = STANDIN == LINK_COURIER;
	return &p;
}

int
main(int argc, char **argv)
{
	struct link_options o = {.self = STANDIN,
	    .peer = LINK_SUPERVISOR,
	    .rules = control_rules,
	    .n_rules = sizeof(control_rules) / sizeof(control_rules[0]),
	    .on_break = on_control_break};

	jail_begin(link_role_name(STANDIN), AUDIT_FD);
	for (int i = 1; i < argc; i++)
		log_event(LOG_INFO, "argument", LOG_STR("word", argv[i]));
	for (char **e = environ; *e != NULL; e++)
		log_event(LOG_INFO, "environment", LOG_STR("word", *e));
	for (int fd = 0; fd <= AUDIT_FD; fd++)
		log_event(LOG_INFO, "descriptor_at_birth", LOG_INT("fd", fd),
		    LOG_INT("flags", fcntl(fd, F_GETFL)));
	bool listens = fcntl(LISTEN_FD, F_GETFD) >= 0;
	loop = ev_default_loop(EVFLAG_NOENV | EVBACKEND_EPOLL);
	ev_io_init(&accepting, on_accept, LISTEN_FD, EV_READ);
	if ((STANDIN == LINK_GATE || STANDIN == LINK_MINTER) && listens)
		ev_io_start(loop, &accepting);
	must(link_new(loop, CONTROL_FD, &o, &control));
	jail_enter(profile());
	must(link_send(control, &msg_ready, NULL, -1));
#ifdef RUDE /* says what only a session's may say, while it waits */
	if (argc == 1)
		must(link_send(control, RUDE, NULL, -1));
#endif
	ev_run(loop, 0);
	return 0;
}
