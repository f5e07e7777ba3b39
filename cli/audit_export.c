/* SPDX-License-Identifier: ISC */
/* What for: audit lines on to journald or syslog, each chain in its order,
 * from where the last export ended. Trusts: nothing in the log; a line that
 * is no JSON is passed on as it is. At a bound: nobody listens: it ends, or
 * with --follow waits. What was sent when the cursor could not be written
 * any more comes again. */
#include "cli/verbs.h"

#include "lib/buf.h"
#include "lib/chainlog.h"
#include "lib/safefile.h"
#include "lib/segments.h"
#include "scope/grant_json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define IDENTIFIER "hatcheck-audit"
#define CURSOR_MAX (4 * 1024 * 1024)
#define MESSAGE_MAX (CHAINLOG_LINE_MAX + 1024)
#define FACILITY_AUTHPRIV 10
#define NOTICE 5
#define INFO 6

struct export
{
	struct cli *cli;
	const struct target *to;
	int dir, state, fd; /* fd: the socket, or -1 */
	struct sockaddr_un where;
	char cursor_name[64];
	/* {"CHAIN":{"file":n,"offset":bytes}}: what was sent. */
	json_t *cursor;
	bool moved;
	struct buf *message, *rest;
};

struct target {
	const char *name, *socket;
	/* The datagram for a line. */
	int (*make)(struct buf *b, const char *chain, struct span line,
	    const json_t *o);
};

static int
priority(const json_t *o)
{
	return json_object_get(o, "reason") != NULL ? NOTICE : INFO;
}

static int
put_field(struct buf *b, const char *name, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_integer(v))
		return buf_printf(
		    b, "%s=%lld\n", name, (long long)json_integer_value(v));
	const char *s = json_string_value(v);
	/* A newline would end the field: JSON may spell one. */
	if (s == NULL || strchr(s, '\n') != NULL)
		return 0;
	return buf_printf(b, "%s=%s\n", name, s);
}

/* systemd.journal-fields(7); the native protocol: KEY=value, a line each. */
static int
make_journal(
    struct buf *b, const char *chain, struct span line, const json_t *o)
{
	static const char *const fields[][2] = {{"HATCHECK_SEQ", "seq"},
	    {"HATCHECK_EVENT", "event"}, {"HATCHECK_SESSION", "session"},
	    {"HATCHECK_GUEST", "guest"}, {"HATCHECK_REASON", "reason"},
	    {"HATCHECK_HOST", "host"}, {"HATCHECK_GRANT", "grant"},
	    {"HATCHECK_STATUS", "status"}};
	int r = buf_printf(b,
	    "SYSLOG_IDENTIFIER=" IDENTIFIER "\nSYSLOG_FACILITY=%d\n"
	    "PRIORITY=%d\nHATCHECK_CHAIN=%s\n",
	    FACILITY_AUTHPRIV, priority(o), chain);

	for (size_t i = 0; r == 0 && i < sizeof(fields) / sizeof(fields[0]);
	     i++)
		r = put_field(b, fields[i][0], o, fields[i][1]);
	if (r == 0 && (r = buf_put_str(b, "MESSAGE=")) == 0 &&
	    (r = buf_put_span(b, line)) == 0)
		r = buf_put_str(b, "\n");
	return r;
}

/* RFC 3164 as /dev/log takes it: no host name. The line's own time is in
 * it; the header has that of the export. */
static int
make_syslog(struct buf *b, const char *chain, struct span line, const json_t *o)
{
	char when[32];
	time_t now = time(NULL);
	struct tm tm;
	int r;

	if (localtime_r(&now, &tm) == NULL ||
	    strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm) == 0)
		return ERR_CLOCK;
	r = buf_printf(b,
	    "<%d>%s " IDENTIFIER "[%s]: ", FACILITY_AUTHPRIV * 8 + priority(o),
	    when, chain);
	return r != 0 ? r : buf_put_span(b, line);
}

static const struct target targets[] = {
    {"journald", "/run/systemd/journal/socket", make_journal},
    {"syslog", "/dev/log", make_syslog},
};

static int
reconnect(struct export *x)
{
	if (x->fd >= 0)
		close(x->fd);
	x->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (x->fd >= 0 &&
	    connect(x->fd, (struct sockaddr *)&x->where, sizeof(x->where)) == 0)
		return 0;
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	return ERR_UNAVAILABLE;
}

/* A receiver that was started anew has another socket in the same place. */
static int
send_message(struct export *x, struct span m)
{
	for (int i = 0; i < 2; i++) {
		if (x->fd >= 0 &&
		    send(x->fd, m.p, m.n, MSG_NOSIGNAL) == (ssize_t)m.n)
			return 0;
		if (i == 0 && reconnect(x) != 0)
			break;
	}
	return ERR_UNAVAILABLE;
}

static int
send_line(struct export *x, const char *chain, struct span line)
{
	json_t *o = json_strict(line);
	int r;

	buf_reset(x->message);
	r = x->to->make(x->message, chain, line, o);
	json_decref(o);
	return r != 0 ? r : send_message(x, buf_span(x->message));
}

static int
move(struct export *x, const char *chain, uint32_t file, uint64_t offset)
{
	x->moved = true;
	return json_object_set_new(x->cursor, chain,
		   json_pack("{s:I, s:I}", "file", (json_int_t)file, "offset",
		       (json_int_t)offset)) == 0
		   ? 0
		   : ERR_NOMEM;
}

/* Whole lines in rest, sent; how many bytes of it. */
static int
send_lines(struct export *x, const char *chain, size_t *sent)
{
	int r = 0;

	*sent = 0;
	while (r == 0) {
		struct span s = buf_span(x->rest);
		const uint8_t *end = s.n == 0 ? NULL : memchr(s.p, '\n', s.n);
		if (end == NULL)
			break;
		size_t n = (size_t)(end - s.p);
		if ((r = send_line(x, chain, span_of(s.p, n))) != 0)
			break;
		buf_consume(x->rest, n + 1);
		*sent += n + 1;
	}
	return r;
}

/* One file from an offset on. */
static int
send_file(struct export *x, const char *chain, uint32_t n, uint64_t offset)
{
	int fd = segment_read(x->dir, chain, n), r = fd < 0 ? ERR_IO : 0;
	ssize_t got = 1;
	size_t sent;
	uint8_t *p;

	buf_reset(x->rest);
	while (r == 0 && got > 0) {
		size_t want = buf_room(x->rest), had = buf_len(x->rest);
		if (want == 0 || (r = buf_reserve(x->rest, want, &p)) != 0)
			break; /* no line of a chain is as long */
		got = pread(fd, p, want, (off_t)(offset + had));
		if (got < 0)
			r = ERR_IO;
		if (got <= 0)
			break;
		buf_claim(x->rest, (size_t)got);
		r = send_lines(x, chain, &sent);
		offset += sent;
		if (sent > 0 && r == 0)
			r = move(x, chain, n, offset);
		else if (sent > 0 && move(x, chain, n, offset) != 0)
			r = ERR_NOMEM;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int
save(struct export *x)
{
	char *text;
	int r;

	if (!x->moved)
		return 0;
	if ((text = json_dumps(x->cursor, JSON_SORT_KEYS)) == NULL)
		return ERR_NOMEM;
	r = safefile_write(x->state, x->cursor_name, span_str(text));
	free(text);
	x->moved = r != 0;
	return r;
}

static int
send_chain(struct export *x, const char *chain)
{
	const json_t *at = json_object_get(x->cursor, chain);
	json_int_t n = json_integer_value(json_object_get(at, "file"));
	json_int_t offset = json_integer_value(json_object_get(at, "offset"));
	struct segments s;
	int r = segments_find(x->dir, chain, &s);

	if (r != 0 || s.last == 0)
		return r;
	if (n < s.first || n > s.last) { /* retention was faster */
		n = s.first;
		offset = 0;
	}
	for (; r == 0 && n <= s.last; n++, offset = 0) {
		r = send_file(x, chain, (uint32_t)n, (uint64_t)offset);
		if (r == 0 && n < s.last)
			r = save(x);
	}
	return r;
}

/* The cursor forgets chains of which no file is left. */
static int
round_trip(struct export *x)
{
	int fd = openat(x->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	json_t *seen = json_object();
	char chain[SEGMENT_CHAIN_MAX];
	struct dirent *e;
	uint32_t n;
	int r = d == NULL || seen == NULL ? ERR_IO : 0;

	while (r == 0 && (e = readdir(d)) != NULL) {
		if (segment_parse(e->d_name, chain, &n) &&
		    json_object_get(seen, chain) == NULL) {
			(void)json_object_set_new(seen, chain, json_true());
			r = send_chain(x, chain);
		}
	}
	if (d != NULL)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	const char *name;
	void *next;
	json_t *v;
	if (r == 0) {
		json_object_foreach_safe(x->cursor, next, name, v)
		{
			(void)v;
			if (json_object_get(seen, name) == NULL)
				(void)json_object_del(x->cursor, name);
		}
	}
	json_decref(seen);
	int saved = save(x);
	return r != 0 ? r : saved;
}

static int
load(struct export *x)
{
	struct buf *b = buf_new(CURSOR_MAX);
	char path[PATH_MAX], why[512];
	int r = b == NULL
		    ? ERR_NOMEM
		    : paths_join(x->cli->paths.state, x->cursor_name, path);

	if (r == 0)
		r = safefile_read(path, CURSOR_MAX, false, b, why, sizeof(why));
	if (r == 0 && (x->cursor = json_strict(buf_span(b))) == NULL)
		r = ERR_FORMAT;
	if (r == ERR_NOT_FOUND)
		r = (x->cursor = json_object()) == NULL ? ERR_NOMEM : 0;
	buf_free(b);
	return r;
}

static int
open_export(struct export *x)
{
	char path[PATH_MAX], why[512];
	int r;

	x->message = buf_new(MESSAGE_MAX);
	x->rest = buf_new(4 * CHAINLOG_LINE_MAX);
	if (x->message == NULL || x->rest == NULL)
		return ERR_NOMEM;
	if ((r = paths_join(x->cli->paths.log, "audit", path)) != 0)
		return r;
	x->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->dir < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED;
	if ((r = safefile_dir(
		 x->cli->paths.state, false, &x->state, why, sizeof(why))) != 0)
		return r;
	return load(x);
}

static void
close_export(struct export *x)
{
	int *const fds[] = {&x->dir, &x->state, &x->fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
	}
	json_decref(x->cursor);
	buf_free(x->message);
	buf_free(x->rest);
}

static int
choose(struct export *x, const struct args *a, struct cli_error *e)
{
	const char *to = args_value(a, "to"), *where = args_value(a, "socket");

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		if (to != NULL && strcmp(targets[i].name, to) == 0)
			x->to = &targets[i];
	}
	if (x->to == NULL)
		return cli_error(e, CLI_USAGE, "export the audit log",
		    "hatcheck audit export --help",
		    "--to must be journald or syslog");
	where = where == NULL ? x->to->socket : where;
	x->where.sun_family = AF_UNIX;
	if (span_copy(span_str(where), x->where.sun_path,
		sizeof(x->where.sun_path)) != 0)
		return cli_error(e, CLI_USAGE, "export the audit log",
		    "name a shorter path", "--socket is too long");
	(void)snprintf(x->cursor_name, sizeof(x->cursor_name),
	    "audit-export-%s.json", x->to->name);
	return 0;
}

int
audit_export_run(struct cli *cli, const struct args *a)
{
	struct export x = {.cli = cli, .dir = -1, .state = -1, .fd = -1};
	bool follow = args_has(a, "follow");
	struct cli_error e = {0};
	int r;

	if (choose(&x, a, &e) != 0)
		return cli_report(cli, &e);
	if ((r = open_export(&x)) == 0)
		r = round_trip(&x);
	for (int last = 0; follow && (r == 0 || r == ERR_UNAVAILABLE);) {
		if (r != 0 && last == 0)
			cli_note(cli, "nobody takes it at %s: waiting",
			    x.where.sun_path);
		last = r;
		(void)sleep(1);
		r = round_trip(&x);
	}
	close_export(&x);
	if (r == 0)
		return CLI_OK;
	if (r == ERR_UNAVAILABLE)
		(void)cli_error(&e, CLI_FAILED, "export the audit log",
		    "is that service running? then again: it goes on where "
		    "it was",
		    "nobody takes it at %s", x.where.sun_path);
	else
		(void)cli_error_from(
		    &e, r, "export the audit log", "hatcheck doctor");
	return cli_report(cli, &e);
}
