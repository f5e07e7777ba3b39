/* SPDX-License-Identifier: ISC */
/* What for: HTTP for the owner of the daemon. Trusts: the kernel for who
 * calls; of the bytes nothing. At a bound: a problem document, or the
 * connection is closed. */
#include "minter/admin.h"

#include "keys/json.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/unixsock.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct admin {
	struct ev_loop *loop;
	int listen_fd;
	gid_t group; /* whose members may call too */
	struct MHD_Daemon *mhd;
	ev_io accept, epoll;
	ev_timer timer;
	ev_prepare turn; /* after answers from outside of MHD */
	const struct admin_route *routes;
	size_t n_routes;
	void *ctx;
	struct {
		const char *title, *next, *why; /* title NULL: it serves */
	} refusal;
	unsigned connections;
	bool running; /* inside MHD_run: no recursion */
};

/* A connection's own deadline: MHD's counts idle time only. */
struct peer {
	struct admin *admin;
	int fd;
	ev_timer deadline;
};

struct admin_call {
	struct admin *admin;
	struct MHD_Connection *connection;
	char *uri; /* as it came */
	struct buf *body;
	bool seen_head, dispatched, suspended, answered;
	bool too_big;
	unsigned status;
	const char *type; /* of text */
	char *text;
};

static void
run_mhd(struct admin *a)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (a->running)
		return;
	a->running = true;
	(void)MHD_run(a->mhd); /* fails only for a daemon in other modes */
	a->running = false;
	ev_timer_stop(a->loop, &a->timer);
	if (MHD_get_timeout(a->mhd, &ms) == MHD_YES) {
		ev_timer_set(&a->timer, ms / 1000.0, 0.);
		ev_timer_start(a->loop, &a->timer);
	}
}

static void
on_epoll(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop;
	(void)events;
	run_mhd(w->data);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	run_mhd(w->data);
}

static void
on_turn(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	(void)events;
	ev_prepare_stop(loop, w);
	run_mhd(w->data);
}

bool
admin_peer_ok(int fd, gid_t group)
{
	return unixsock_peer_admin(fd, group);
}

static void
on_accept(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct admin *a = w->data;
	int fd =
	    accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)loop;
	(void)events;
	if (fd < 0)
		return;
	if (a->connections >= ADMIN_CONNECTIONS || !admin_peer_ok(fd, a->group)) {
		log_event(LOG_WARN, "admin_refused",
		    LOG_INT("connections", a->connections));
		close(fd);
		return;
	}
	/* MHD closes fd when it fails. */
	if (MHD_add_connection(a->mhd, fd, NULL, 0) != MHD_YES)
		log_event(LOG_WARN, "admin_refused", LOG_INT("errno", errno));
	run_mhd(a);
}

static void
on_deadline(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct peer *p = w->data;

	(void)loop;
	(void)events;
	(void)shutdown(p->fd, SHUT_RDWR); /* MHD sees the end and closes */
}

static void
on_connection(void *cls, struct MHD_Connection *c, void **slot,
    enum MHD_ConnectionNotificationCode code)
{
	struct admin *a = cls;
	struct peer *p = *slot;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		a->connections--;
		if (p != NULL)
			ev_timer_stop(a->loop, &p->deadline);
		free(p);
		return;
	}
	a->connections++;
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (i == NULL || (p = calloc(1, sizeof(*p))) == NULL)
		return; /* dispatch refuses a connection without a deadline */
	*p = (struct peer){.admin = a, .fd = i->connect_fd};
	ev_timer_init(&p->deadline, on_deadline, ADMIN_SECONDS, 0.);
	p->deadline.data = p;
	ev_now_update(a->loop);
	ev_timer_start(a->loop, &p->deadline);
	*slot = p;
}

static struct peer *
peer_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return i == NULL ? NULL : i->socket_context;
}

static void
deadline_start(struct admin *a, struct MHD_Connection *c)
{
	struct peer *p = peer_of(c);

	if (p == NULL)
		return;
	ev_now_update(a->loop);
	ev_timer_stop(a->loop, &p->deadline);
	ev_timer_set(&p->deadline, ADMIN_SECONDS, 0.);
	ev_timer_start(a->loop, &p->deadline);
}

static void
deadline_stop(struct admin *a, struct MHD_Connection *c)
{
	struct peer *p = peer_of(c);

	if (p != NULL)
		ev_timer_stop(a->loop, &p->deadline);
}

/* The first that is called for a request: its target, undecoded. */
static void *
on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
	struct admin_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->admin = cls;
	call->connection = c;
	call->uri = strdup(uri);
	return call;
}

static void
on_completed(void *cls, struct MHD_Connection *c, void **slot,
    enum MHD_RequestTerminationCode code)
{
	struct admin *a = cls;
	struct admin_call *call = *slot;

	(void)code;
	if (call == NULL)
		return;
	free(call->uri);
	free(call->text);
	buf_free(call->body);
	free(call);
	*slot = NULL;
	deadline_start(a, c);
}

static size_t
no_unescape(void *cls, struct MHD_Connection *c, char *s)
{
	(void)cls;
	(void)c;
	return strlen(s);
}

#define TYPE_JSON "application/json"
#define TYPE_PROBLEM "application/problem+json"

static void
set_text(struct admin_call *c, unsigned status, const char *type, char *text)
{
	if (c->answered)
		abort(); /* a handler answered twice */
	c->text = text;
	c->answered = true;
	c->status = text == NULL ? 500 : status;
	c->type = text == NULL ? TYPE_PROBLEM : type;
	if (c->suspended) {
		c->suspended = false;
		MHD_resume_connection(c->connection);
		ev_prepare_start(c->admin->loop, &c->admin->turn);
	}
}

static void
set_answer(
    struct admin_call *c, unsigned status, const char *type, json_t *document)
{
	char *text = document == NULL ? NULL
				      : json_dumps(document,
					    JSON_COMPACT | JSON_ENSURE_ASCII);

	json_decref(document);
	set_text(c, status, type, text);
}

void
admin_reply(struct admin_call *c, json_t *result)
{
	set_answer(c, 200, TYPE_JSON, result);
}

void
admin_reply_text(struct admin_call *c, const char *type, char *text)
{
	set_text(c, 200, type, text);
}

void
admin_problem(struct admin_call *c, unsigned status, const char *title,
    const char *next, const char *fmt, ...)
{
	char detail[1024], safe[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	log_escape(span_str(detail), safe, sizeof(safe));
	set_answer(c, status, TYPE_PROBLEM,
	    json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank",
		"title", title, "status", (int)status, "detail", safe, "next",
		next));
}

static enum MHD_Result
send_answer(struct admin_call *c)
{
	static const char out_of_memory[] =
	    "{\"title\":\"out of memory\",\"status\":500,"
	    "\"detail\":\"\",\"next\":\"try again\"}";
	struct MHD_Response *r =
	    c->text != NULL
		? MHD_create_response_from_buffer(
		      strlen(c->text), c->text, MHD_RESPMEM_MUST_COPY)
		: MHD_create_response_from_buffer(sizeof(out_of_memory) - 1,
		      (void *)(uintptr_t)out_of_memory, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result ok;

	if (r == NULL)
		return MHD_NO;
	deadline_start(c->admin, c->connection);
	ok = MHD_add_response_header(r, "Content-Type", c->type);
	if (ok == MHD_YES)
		ok = MHD_add_response_header(r, "Cache-Control", "no-store");
	if (ok == MHD_YES)
		ok = MHD_queue_response(c->connection, c->status, r);
	MHD_destroy_response(r);
	return ok;
}

struct heads {
	unsigned length, encoding, host, type;
	bool json;
};

static enum MHD_Result
count_head(
    void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct heads *h = cls;

	(void)kind;
	if (strcasecmp(name, "content-length") == 0)
		h->length++;
	else if (strcasecmp(name, "transfer-encoding") == 0)
		h->encoding++;
	else if (strcasecmp(name, "host") == 0)
		h->host++;
	else if (strcasecmp(name, "content-type") == 0) {
		h->type++;
		h->json =
		    value != NULL && strcasecmp(value, "application/json") == 0;
	}
	return MHD_YES;
}

/* What the lax parser let through. On false the answer is set. */
static bool
check_head(struct admin_call *c, const char *method)
{
	struct heads h = {0};

	(void)MHD_get_connection_values(
	    c->connection, MHD_HEADER_KIND, count_head, &h); /* a count */
	if (h.encoding > 0 || h.length > 1 || h.host > 1) {
		admin_problem(c, 400, "bad request",
		    "Send one Content-Length, one Host, and no "
		    "Transfer-Encoding.",
		    "The request's framing can be read in two ways.");
		return false;
	}
	if (strcmp(method, "POST") == 0 && (h.type != 1 || !h.json)) {
		admin_problem(c, 415, "not JSON",
		    "Send Content-Type: application/json.",
		    "Every POST has a JSON object as its body.");
		return false;
	}
	return true;
}

static const struct admin_route *
find_route(struct admin_call *c, const char *method)
{
	const struct admin *a = c->admin;
	bool path = false;

	for (size_t i = 0; c->uri != NULL && i < a->n_routes; i++) {
		if (strcmp(a->routes[i].path, c->uri) != 0)
			continue;
		path = true;
		if (strcmp(a->routes[i].method, method) == 0)
			return &a->routes[i];
	}
	admin_problem(c, path ? 405 : 404,
	    path ? "wrong method" : "no such call",
	    "docs/admin-api.md lists the calls.",
	    path ? "The call exists, but not with this method."
		 : "The path is none of the admin API's.");
	return NULL;
}

static void
dispatch(struct admin_call *c, const char *method)
{
	const struct admin_route *route;
	json_t *body = NULL;

	if (peer_of(c->connection) == NULL) {
		admin_problem(c, 503, "out of memory", "Try again.",
		    "The connection could not be set up.");
		return;
	}
	if (!check_head(c, method) || (route = find_route(c, method)) == NULL)
		return;
	if (c->too_big) {
		admin_problem(c, 413, "too large", "Send less.",
		    "The body has more than %d bytes.", ADMIN_BODY_MAX);
		return;
	}
	if (strcmp(method, "POST") == 0) {
		body = c->body == NULL ? NULL : json_strict(buf_span(c->body));
		if (!json_is_object(body)) {
			json_decref(body);
			admin_problem(c, 400, "not JSON",
			    "Send one JSON object without repeated names.",
			    "The body cannot be read.");
			return;
		}
	}
	deadline_stop(c->admin, c->connection); /* the handler's time */
	if (c->admin->refusal.title != NULL)
		admin_problem(c, 503, c->admin->refusal.title,
		    c->admin->refusal.next, "%s", c->admin->refusal.why);
	else
		route->handler(c->admin->ctx, c, body);
	json_decref(body);
}

static void
take_body(struct admin_call *c, const char *p, size_t n)
{
	if (c->body == NULL)
		c->body = buf_new(ADMIN_BODY_MAX);
	if (c->too_big || c->body == NULL || buf_put(c->body, p, n) != 0)
		c->too_big = true; /* read on, keep nothing */
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload,
    size_t *upload_size, void **slot)
{
	struct admin_call *c = *slot;

	(void)cls;
	(void)connection;
	(void)url;
	(void)version;
	if (c == NULL)
		return MHD_NO; /* out of memory: close */
	if (!c->seen_head) {
		c->seen_head = true;
		return MHD_YES;
	}
	if (*upload_size > 0) {
		take_body(c, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (!c->dispatched) {
		c->dispatched = true;
		dispatch(c, method);
		if (!c->answered) {
			c->suspended = true;
			MHD_suspend_connection(connection);
			return MHD_YES;
		}
	}
	return c->answered ? send_answer(c) : MHD_YES;
}

static void
on_panic(void *cls, const char *file, unsigned line, const char *why)
{
	(void)cls;
	(void)file;
	(void)line;
	log_fatal("http_panic", why);
}

static struct MHD_Daemon *
start_mhd(struct admin *a)
{
	/* Suspending brings its own wake-up fd; without it stopping hangs. */
	unsigned flags =
	    MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;

	MHD_set_panic_func(on_panic, NULL);
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, a,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, a,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, a,
	    MHD_OPTION_URI_LOG_CALLBACK, on_uri, a,
	    MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)ADMIN_CONNECTIONS + 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)32 * 1024, MHD_OPTION_END);
}

static void
start_watchers(struct admin *a, int epoll_fd)
{
	ev_io_init(&a->accept, on_accept, a->listen_fd, EV_READ);
	ev_io_init(&a->epoll, on_epoll, epoll_fd, EV_READ);
	ev_init(&a->timer, on_timer);
	ev_prepare_init(&a->turn, on_turn);
	a->accept.data = a;
	a->epoll.data = a;
	a->timer.data = a;
	a->turn.data = a;
	ev_io_start(a->loop, &a->accept);
	ev_io_start(a->loop, &a->epoll);
}

int
admin_new(struct ev_loop *loop, int fd, gid_t group, const struct admin_route *routes,
    size_t n, void *ctx, struct admin **out)
{
	struct admin *a = calloc(1, sizeof(*a));
	const union MHD_DaemonInfo *i;

	if (a == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	*a = (struct admin){.loop = loop,
	    .listen_fd = fd,
	    .group = group,
	    .routes = routes,
	    .n_routes = n,
	    .ctx = ctx};
	if ((a->mhd = start_mhd(a)) == NULL ||
	    (i = MHD_get_daemon_info(a->mhd, MHD_DAEMON_INFO_EPOLL_FD)) ==
		NULL) {
		close(fd);
		free(a);
		return ERR_IO;
	}
	start_watchers(a, i->listen_fd);
	*out = a;
	return 0;
}

void
admin_refuse_all(
    struct admin *a, const char *title, const char *next, const char *why)
{
	a->refusal.title = title;
	a->refusal.next = next;
	a->refusal.why = why;
}

void
admin_free(struct admin *a)
{
	if (a == NULL)
		return;
	ev_io_stop(a->loop, &a->accept);
	ev_io_stop(a->loop, &a->epoll);
	ev_timer_stop(a->loop, &a->timer);
	ev_prepare_stop(a->loop, &a->turn);
	close(a->listen_fd);
	/* MHD aborts when it is stopped with suspended connections, and this
	 * is only called on the way out: the process's end closes them. */
	free(a);
}

void
admin_drain(struct admin *a, int ms)
{
	for (int i = 0; i < ms && a->connections > 0; i++) {
		run_mhd(a);
		(void)usleep(1000);
	}
}
