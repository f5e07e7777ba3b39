/* SPDX-License-Identifier: ISC */
/* What for: one call to the admin API. Trusts: the peer that the kernel
 * names, if it is us or root; its bytes are still bounded. At a bound: gives
 * up. */
#include "cli/admin.h"

#include "cli/daemon.h"
#include "lib/buf.h"
#include "lib/unixsock.h"
#include "scope/grant_json.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MAX (16 * 1024 * 1024)
#define TIMEOUT_S 30

static int
reach(struct cli *cli, const char *what, int *fd, struct cli_error *e)
{
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	char path[PATH_MAX];
	uid_t uid;
	int r = paths_join(cli->paths.run, "admin.sock", path);

	if (r == 0)
		r = unixsock_connect(path, fd);
	if (r == ERR_NOT_FOUND || r == ERR_UNAVAILABLE)
		return cli_error(e, CLI_NOT_RUNNING, what, daemon_next(cli),
		    "the daemon does not run (nobody at %s)", path);
	if (r != 0)
		return cli_error_from(e, r, what, "hatcheck doctor");
	if (unixsock_peer(*fd, &uid, NULL) != 0 ||
	    (uid != geteuid() && uid != 0)) {
		close(*fd);
		return cli_error(e, CLI_DENIED, what, "hatcheck doctor",
		    "%s belongs to somebody else", path);
	}
	(void)setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return 0; /* without a limit we would only wait longer */
}

static int
put_request(struct buf *b, const char *name, bool get, const json_t *in)
{
	char *body = in == NULL ? strdup("{}") : json_dumps(in, JSON_COMPACT);
	int r = body == NULL ? ERR_NOMEM : 0;

	if (r == 0)
		r = buf_printf(b,
		    "%s /v1/%s HTTP/1.1\r\nHost: hatcheck\r\n"
		    "Connection: close\r\n",
		    get ? "GET" : "POST", name);
	if (r == 0 && !get)
		r = buf_printf(b,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n",
		    strlen(body));
	if (r == 0)
		r = buf_put_str(b, "\r\n");
	if (r == 0 && !get)
		r = buf_put_str(b, body);
	free(body);
	return r;
}

static int
send_all(int fd, struct buf *b)
{
	while (buf_len(b) > 0) {
		struct span s = buf_span(b);
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_UNAVAILABLE;
		buf_consume(b, (size_t)n);
	}
	return 0;
}

static int
receive_all(int fd, struct buf *b)
{
	uint8_t *p;
	int r;

	for (;;) {
		size_t want = buf_room(b) < 65536 ? buf_room(b) : 65536;
		if (want == 0)
			return ERR_TOO_BIG;
		if ((r = buf_reserve(b, want, &p)) != 0)
			return r;
		ssize_t n = recv(fd, p, want, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_UNAVAILABLE;
		if (n == 0)
			return 0;
		buf_claim(b, (size_t)n);
	}
}

/* The next line without its CRLF; in moves behind it. */
static int
take_line(struct span *in, struct span *line)
{
	const uint8_t *end =
	    in->n == 0 ? NULL : memmem(in->p, in->n, "\r\n", 2);

	if (end == NULL)
		return ERR_TRUNCATED;
	*line = span_of(in->p, (size_t)(end - in->p));
	*in = span_from(*in, line->n + 2);
	return 0;
}

static int
take_status(struct span line, unsigned *status)
{
	uint64_t n;

	if (line.n < 12 || memcmp(line.p, "HTTP/1.1 ", 9) != 0 ||
	    (line.n > 12 && line.p[12] != ' ') ||
	    span_u64(span_of(line.p + 9, 3), 599, &n) != 0 || n < 200)
		return ERR_FORMAT;
	*status = (unsigned)n;
	return 0;
}

/* Content-Length once, no transfer coding; all other fields pass by. */
static int
take_field(struct span line, bool *seen, uint64_t *length)
{
	const uint8_t *colon = line.n == 0 ? NULL : memchr(line.p, ':', line.n);

	if (colon == NULL)
		return ERR_FORMAT;
	struct span name = span_of(line.p, (size_t)(colon - line.p));
	struct span value = span_from(line, name.n + 1);
	while (value.n > 0 && value.p[0] == ' ')
		value = span_from(value, 1);
	if (span_caseeq(name, span_str("transfer-encoding")))
		return ERR_FORMAT;
	if (!span_caseeq(name, span_str("content-length")))
		return 0;
	if (*seen)
		return ERR_FORMAT;
	*seen = true;
	return span_u64(value, ANSWER_MAX, length);
}

int
admin_parse(struct span in, unsigned *status, struct span *body)
{
	struct span line;
	uint64_t length = 0;
	unsigned number;
	bool seen = false;
	int r;

	if ((r = take_line(&in, &line)) != 0 ||
	    (r = take_status(line, &number)) != 0)
		return r;
	for (;;) {
		if ((r = take_line(&in, &line)) != 0)
			return r;
		if (line.n == 0)
			break;
		if ((r = take_field(line, &seen, &length)) != 0)
			return r;
	}
	if (!seen)
		return ERR_FORMAT;
	if (in.n != length)
		return in.n < length ? ERR_TRUNCATED : ERR_FORMAT;
	*status = number;
	*body = in;
	return 0;
}

static int
code_of_status(unsigned status)
{
	switch (status) {
	case 401:
	case 403:
		return CLI_DENIED;
	case 404:
		return CLI_NOT_FOUND;
	case 423:
		return CLI_LOCKED;
	default:
		return CLI_FAILED;
	}
}

static int
refused(unsigned status, const json_t *problem, const char *what,
    struct cli_error *e)
{
	const char *title = cli_string(problem, "title");
	const char *detail = cli_string(problem, "detail");

	if (title[0] == '\0' && detail[0] == '\0')
		return cli_error(e, CLI_FAILED, what, "hatcheck logs",
		    "the daemon answered with status %u", status);
	/* The one reason for 503 that a person can mend by a verb. */
	if (strcmp(title, "vault not open") == 0)
		status = 423;
	bool both = title[0] != '\0' && detail[0] != '\0';
	return cli_error(e, code_of_status(status), both ? title : what,
	    cli_string(problem, "next"), "%s",
	    detail[0] == '\0' ? title : detail);
}

/* It ended, or hung, when it had the request already. */
static int
broke_off(struct cli_error *e, const char *what, int r)
{
	return cli_error(e, CLI_FAILED, what,
	    "hatcheck status; look what is there, then try again",
	    "the daemon broke off before it had answered (%s): a change may "
	    "have been made or not",
	    err_text(r));
}

static int
answer(struct span in, const char *what, json_t **out, struct cli_error *e)
{
	unsigned status;
	struct span body;
	json_t *j = NULL;
	int r = admin_parse(in, &status, &body);

	if (r == 0 && (j = json_strict(body)) == NULL)
		r = ERR_FORMAT;
	if (r == ERR_TRUNCATED) {
		(void)broke_off(e, what, r);
	} else if (r != 0) {
		(void)cli_error(e, CLI_FAILED, what, "hatcheck logs",
		    "the daemon's answer is %s", err_text(r));
	} else if (status / 100 != 2) {
		(void)refused(status, j, what, e);
	} else if (out != NULL) {
		*out = j;
		j = NULL;
	}
	json_decref(j);
	return e->code;
}

/* The whole response, or e. */
static int
ask(struct cli *cli, const char *name, bool get, const json_t *in,
    struct buf *reply, struct cli_error *e)
{
	struct buf *request = buf_new(ANSWER_MAX);
	int fd = -1, r = request == NULL || reply == NULL ? ERR_NOMEM : 0;

	e->code = 0;
	if (r == 0)
		r = put_request(request, name, get, in);
	if (r != 0)
		(void)cli_error_from(e, r, name, NULL);
	else if (reach(cli, name, &fd, e) == 0) {
		r = send_all(fd, request);
		/* A refusal may come before all of it was taken. */
		int got = receive_all(fd, reply);
		if (got != 0 && r == 0)
			(void)broke_off(e, name, got);
		else if (got != 0 || (r != 0 && buf_len(reply) == 0))
			(void)cli_error(e, CLI_FAILED, name, "hatcheck logs",
			    "the daemon did not answer: %s",
			    err_text(got != 0 ? got : r));
		close(fd);
	}
	buf_free(request);
	return e->code;
}

int
admin_call(struct cli *cli, const char *name, json_t *in, json_t **out,
    struct cli_error *e)
{
	struct buf *reply = buf_new(ANSWER_MAX);
	bool get = strcmp(name, "status") == 0;

	if (ask(cli, name, get, in, reply, e) == 0)
		(void)answer(buf_span(reply), name, out, e);
	json_decref(in);
	buf_free(reply);
	return e->code;
}

int
admin_text(
    struct cli *cli, const char *name, struct buf *out, struct cli_error *e)
{
	struct buf *reply = buf_new(ANSWER_MAX);
	struct span body;
	unsigned status;
	int r;

	if (ask(cli, name, true, NULL, reply, e) == 0) {
		r = admin_parse(buf_span(reply), &status, &body);
		if (r == 0 && status != 200)
			(void)answer(buf_span(reply), name, NULL, e);
		else if (r != 0 || (r = buf_put_span(out, body)) != 0)
			(void)cli_error_from(e, r, name, "hatcheck logs");
	}
	buf_free(reply);
	return e->code;
}
