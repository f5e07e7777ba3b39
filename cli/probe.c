/* SPDX-License-Identifier: ISC */
/* What for: `credential test`: one harmless request, sent as a guest would
 * send it, through a session of its own. Trusts: nothing of the answer but
 * its first lines. At a bound: gives up; the session ends either way. */
#include "cli/verbs.h"

#include "cli/admin.h"
#include "cli/daemon.h"
#include "cli/preset.h"
#include "cli/vault_client.h"
#include "lib/buf.h"
#include "lib/unixsock.h"
#include "scope/grant_json.h"
#include "scope/reason.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define WHAT "test the credential"
#define TTL_S 60
#define TIMEOUT_S 40
#define HEAD_MAX (64 * 1024)

/* What is to be sent where. */
struct probe {
	char method[32];
	char host[300];	     /* with ":port" when that is not 443 */
	char authority[310]; /* always with a port */
	char path[1100];
};

/* --- what to ask ------------------------------------------------------ */

/* From the options, else the preset's test, else GET / at the first host
 * that is no pattern. */
static int
choose(struct cli *cli, const struct args *a, const json_t *metadata,
    struct probe *p, struct cli_error *e)
{
	const char *preset = cli_string(metadata, "preset");
	const json_t *first = json_array_get(
	    json_object_get(
		json_array_get(json_object_get(metadata, "bindings"), 0),
		"hosts"),
	    0);
	const char *method = args_value(a, "method");
	const char *host = args_value(a, "host"), *path = args_value(a, "path");
	json_t *whole = NULL;
	const json_t *test;

	/* A preset that is gone is no reason not to test. */
	if (preset[0] != '\0' && preset_load(cli, preset, &whole, e) != 0)
		e->code = 0;
	test = json_object_get(whole, "test");
	if (method == NULL)
		method = test == NULL ? "GET" : cli_string(test, "method");
	if (host == NULL)
		host = cli_string(test, "host");
	if (host[0] == '\0')
		host = json_is_string(first) ? json_string_value(first) : "";
	if (path == NULL)
		path = test == NULL ? "/" : cli_string(test, "path");
	(void)snprintf(p->method, sizeof(p->method), "%s", method);
	(void)snprintf(p->host, sizeof(p->host), "%s", host);
	(void)snprintf(p->path, sizeof(p->path), "%s", path);
	(void)snprintf(p->authority, sizeof(p->authority), "%s%s", p->host,
	    strchr(p->host, ':') == NULL ? ":443" : "");
	json_decref(whole);
	if (p->host[0] != '\0' && p->host[0] != '*' && p->path[0] == '/')
		return 0;
	return cli_error(e, CLI_USAGE, WHAT, "--host HOST --path /PATH",
	    "it is bound to no single host to ask");
}

/* The grant for exactly that request; an applied grant with a private
 * upstream for the same host lends it. */
static json_t *
upstream_of(struct cli *cli, const char *host)
{
	struct cli_error e;
	json_t *out = NULL, *found = NULL;
	const json_t *g, *h;
	size_t i, k, n = strlen(host);

	if (admin_call(cli, "grant.list", NULL, &out, &e) != 0)
		return NULL;
	json_array_foreach (json_object_get(out, "grants"), i, g) {
		json_array_foreach (json_object_get(g, "hosts"), k, h) {
			const char *s = json_string_value(h);
			if (s != NULL && strncmp(s, host, n) == 0 &&
			    (s[n] == '\0' || strcmp(s + n, ":443") == 0))
				found = json_object_get(g, "upstream");
		}
	}
	json_incref(found);
	json_decref(out);
	return found;
}

static json_t *
session_body(struct cli *cli, const struct probe *p, const char *credential)
{
	char path[1100];
	json_t *upstream = upstream_of(cli, p->host), *grant;

	(void)snprintf(
	    path, sizeof(path), "%.*s", (int)strcspn(p->path, "?"), p->path);
	grant = json_pack("{s:s, s:s, s:[s], s:[{s:[s], s:[s]}], s:b, s:s}",
	    "name", "credential-test", "credential", credential, "hosts",
	    p->host, "allow", "methods", p->method, "paths", path, "absolute",
	    1, "type", "hatcheck-grant");
	if (upstream != NULL)
		(void)json_object_set_new(grant, "upstream", upstream);
	return json_pack("{s:[], s:[o], s:i, s:{s:s, s:s, s:I}}", "grants",
	    "details", grant, "ttl", TTL_S, "channel", "type", "unix", "dir",
	    "", "uid", (json_int_t)geteuid());
}

/* --- asking ----------------------------------------------------------- */

static int
say(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t w = send(fd, text, n, MSG_NOSIGNAL);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return ERR_UNAVAILABLE;
		text += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Until the end of the stream, or with head_only until the blank line. */
static int
hear(int fd, bool head_only, struct buf *b)
{
	uint8_t *p;
	int r;

	for (;;) {
		struct span s = buf_span(b);
		if (head_only && s.n >= 4 &&
		    memmem(s.p, s.n, "\r\n\r\n", 4) != NULL)
			return 0;
		if (buf_room(b) == 0)
			return ERR_TOO_BIG;
		size_t want = buf_room(b) < 4096 ? buf_room(b) : 4096;
		if ((r = buf_reserve(b, want, &p)) != 0)
			return r;
		ssize_t n = recv(fd, p, want, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_UNAVAILABLE;
		if (n == 0)
			return head_only ? ERR_TRUNCATED : 0;
		buf_claim(b, (size_t)n);
	}
}

static int
ask(const char *socket_path, const char *text, bool head_only, struct buf *b)
{
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd, r = unixsock_connect(socket_path, &fd);

	if (r != 0)
		return r;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if ((r = say(fd, text)) == 0)
		r = hear(fd, head_only, b);
	close(fd);
	return r;
}

/* ERR_UNAVAILABLE: the session is still getting ready. */
static int
ask_token(const char *socket_path, char *out, size_t size)
{
	static const char request[] =
	    "POST http://hatcheck.internal/v1/token HTTP/1.1\r\n"
	    "Host: hatcheck.internal\r\nConnection: close\r\n"
	    "Content-Type: application/x-www-form-urlencoded\r\n"
	    "Content-Length: 29\r\n\r\ngrant_type=client_credentials";
	struct buf *b = buf_new(HEAD_MAX);
	struct span body;
	unsigned status;
	json_t *j = NULL;
	int r = b == NULL ? ERR_NOMEM : ask(socket_path, request, false, b);

	if (r == 0 && (r = admin_parse(buf_span(b), &status, &body)) == 0) {
		j = json_strict(body);
		const char *token = cli_string(j, "access_token");
		r = status == 503 ? ERR_UNAVAILABLE
		    : status != 200 || token[0] == '\0'
			? ERR_DENIED
			: span_copy(span_str(token), out, size);
	}
	json_decref(j);
	buf_free(b);
	return r;
}

static int
get_token(const char *socket_path, char *out, size_t size)
{
	struct timespec nap = {.tv_nsec = 20 * 1000000};
	int r = ERR_UNAVAILABLE;

	for (int i = 0; i < 250 && r == ERR_UNAVAILABLE; i++) { /* 5 s */
		if (i > 0)
			(void)nanosleep(&nap, NULL); /* shorter is fine */
		r = ask_token(socket_path, out, size);
	}
	return r;
}

/* The status, and the refusal's word when the answer is our own. */
struct verdict {
	unsigned status;
	char reason[64];
};

static void
read_reason(struct span head, struct verdict *v)
{
	static const char mark[] = "details=\"";
	const uint8_t *ours = memmem(head.p, head.n, "hatcheck", 8);
	const uint8_t *p = memmem(head.p, head.n, mark, sizeof(mark) - 1);

	v->reason[0] = '\0';
	if (ours == NULL || p == NULL)
		return;
	struct span rest =
	    span_from(head, (size_t)(p - head.p) + sizeof(mark) - 1);
	const uint8_t *end = memchr(rest.p, '"', rest.n);
	if (end == NULL || span_copy(span_of(rest.p, (size_t)(end - rest.p)),
			       v->reason, sizeof(v->reason)) != 0)
		v->reason[0] = '\0';
}

static int
perform(const char *socket_path, const struct probe *p, struct verdict *v)
{
	char token[5000], request[8192];
	struct buf *b = buf_new(HEAD_MAX);
	uint64_t n;
	int r = b == NULL ? ERR_NOMEM
			  : get_token(socket_path, token, sizeof(token));

	if (r == 0) {
		int k = snprintf(request, sizeof(request),
		    "%s http://%s%s HTTP/1.1\r\nHost: %s\r\n"
		    "Proxy-Authorization: Bearer %s\r\n"
		    "User-Agent: hatcheck/%s\r\nAccept: */*\r\n"
		    "%sConnection: close\r\n\r\n",
		    p->method, p->authority, p->path, p->authority, token,
		    VERSION,
		    strcmp(p->method, "POST") == 0 ? "Content-Length: 0\r\n"
						   : "");
		r = k < 0 || (size_t)k >= sizeof(request)
			? ERR_TOO_BIG
			: ask(socket_path, request, true, b);
	}
	if (r == 0) {
		struct span s = buf_span(b);
		r = s.n < 12 || memcmp(s.p, "HTTP/1.1 ", 9) != 0
			? ERR_FORMAT
			: span_u64(span_of(s.p + 9, 3), 599, &n);
		if (r == 0) {
			v->status = (unsigned)n;
			read_reason(s, v);
		}
	}
	buf_free(b);
	return r;
}

/* --- what it means ---------------------------------------------------- */

static const char *
meaning(unsigned status)
{
	switch (status) {
	case 401:
		return "the service does not accept this credential";
	case 403:
		return "the service knows it, but does not let it do this";
	case 404:
		return "the service was reached; there is nothing at this path";
	case 429:
		return "the service was reached and wants fewer requests";
	default:
		break;
	}
	return status < 400 ? "the service accepts this credential"
	       : status < 500
		   ? "the service was reached and refuses the request"
		   : "the service has troubles of its own";
}

static int
code_of(const struct verdict *v)
{
	if (v->reason[0] != '\0')
		return CLI_FAILED;
	if (v->status == 401 || v->status == 403)
		return CLI_DENIED;
	return v->status < 500 ? CLI_OK : CLI_FAILED;
}

static int
say_verdict(struct cli *cli, const char *name, const struct probe *p,
    const struct verdict *v)
{
	int word = v->reason[0] == '\0' ? -1 : reason_by_word(v->reason);
	const struct reason_row *row =
	    word < 0 ? NULL : reason_row((unsigned)word);
	const char *means = row != NULL ? row->what : meaning(v->status);
	char url[1500];

	(void)snprintf(url, sizeof(url), "https://%s%s", p->host, p->path);
	if (cli->json) {
		json_t *j =
		    json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "credential",
			name, "method", p->method, "url", url, "status",
			(int)v->status, "refused", v->reason, "meaning", means);
		int r = j == NULL ? CLI_FAILED : cli_print_json(j);
		json_decref(j);
		return r != 0 ? r : code_of(v);
	}
	printf("%s %s: %u%s%s: %s\n", p->method, url, v->status,
	    v->reason[0] == '\0' ? "" : " ", v->reason, means);
	if (row != NULL && row->hint[0] != '\0')
		printf("  next: %s\n", row->hint);
	return fflush(stdout) == 0 ? code_of(v) : CLI_FAILED;
}

/* --- the verb --------------------------------------------------------- */

static int
in_session(struct cli *cli, const struct probe *p, const char *name,
    struct verdict *v, struct cli_error *e)
{
	json_t *session = NULL;
	struct cli_error ignored;

	if (admin_call(cli, "session.create", session_body(cli, p, name),
		&session, e) != 0)
		return e->code;
	int r = perform(
	    cli_string(json_object_get(session, "channel"), "socket"), p, v);
	/* If this fails, its 60 seconds end it. */
	(void)admin_call(cli, "session.end",
	    json_pack("{s:s}", "session", cli_string(session, "id")), NULL,
	    &ignored);
	json_decref(session);
	if (r != 0)
		(void)cli_error(e, CLI_FAILED, WHAT, "hatcheck logs",
		    "no answer came through the session: %s", err_text(r));
	return e->code;
}

int
credential_test_run(struct cli *cli, const struct args *a)
{
	struct cli_error e = {0};
	struct verdict v = {0};
	struct probe p = {0};
	json_t *metadata = NULL;
	int r = daemon_ensure(cli, &e);

	if (r == 0)
		r = vault_call(cli, "credential.show", WHAT,
		    json_pack("{s:s}", "name", a->words[0]), NULL, &metadata,
		    &e);
	if (r == 0)
		r = choose(cli, a, metadata, &p, &e);
	if (r == 0)
		r = in_session(cli, &p, a->words[0], &v, &e);
	json_decref(metadata);
	return r != 0 ? cli_report(cli, &e)
		      : say_verdict(cli, a->words[0], &p, &v);
}
