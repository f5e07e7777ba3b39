/* SPDX-License-Identifier: ISC */
/* The admin API against callers who are wrong, slow, or nobody it knows;
 * and what explain and suggest say. */
#include "tests/unit/minter/driver.h"

#define RAW(text) text, sizeof(text) - 1

static const char fine[] =
    "POST /v1/grant.list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

static unsigned
raw(struct house *h, const char *bytes, size_t n)
{
	struct http *c = malloc(sizeof(*c));

	http_begin(h, c, bytes, n);
	unsigned status = http_end(h, c);
	free(c);
	return status;
}

static void
requests_of_two_meanings_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		unsigned status;
	} t[] = {
#define HEAD                                            \
	" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" \
	"Content-Type: application/json\r\n"
	    /* CL with TE, two lengths, two hosts */
	    {RAW("POST /v1/grant.list" HEAD
		 "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "2\r\n{}\r\n0\r\n\r\n"),
		400},
	    {RAW("POST /v1/grant.list" HEAD "Content-Length: 2\r\n"
		 "Content-Length: 2\r\n\r\n{}"),
		400},
	    {RAW("POST /v1/grant.list" HEAD
		 "Host: y\r\nContent-Length: 2\r\n\r\n{}"),
		400},
	    /* paths are compared as they came */
	    {RAW("POST /v1/grant%2elist" HEAD "Content-Length: 2\r\n\r\n{}"),
		404},
	    {RAW("POST /v1/../v1/grant.list" HEAD
		 "Content-Length: 2\r\n\r\n{}"),
		404},
	    {RAW("POST /v1/grant.list?x=1" HEAD "Content-Length: 2\r\n\r\n{}"),
		404},
	    {RAW("POST //v1/grant.list" HEAD "Content-Length: 2\r\n\r\n{}"),
		404},
	    {RAW("POST /v1/GRANT.LIST" HEAD "Content-Length: 2\r\n\r\n{}"),
		404},
	    {RAW("GET /v1/grant.list" HEAD "\r\n"), 405},
	    {RAW("PUT /v1/status" HEAD "Content-Length: 0\r\n\r\n"), 405},
	    /* bodies */
	    {RAW("POST /v1/grant.list HTTP/1.1\r\nHost: x\r\n"
		 "Connection: close\r\nContent-Type: text/plain\r\n"
		 "Content-Length: 2\r\n\r\n{}"),
		415},
	    {RAW("POST /v1/grant.list HTTP/1.1\r\nHost: x\r\n"
		 "Connection: close\r\nContent-Length: 2\r\n\r\n{}"),
		415},
	    {RAW("POST /v1/grant.list" HEAD "Content-Length: 2\r\n\r\n[]"),
		400},
	    {RAW("POST /v1/grant.list" HEAD
		 "Content-Length: 13\r\n\r\n{\"a\":1,\"a\":1}"),
		400},
	    {RAW("POST /v1/grant.list" HEAD "Content-Length: 0\r\n\r\n"), 400},
	    {RAW("POST /v1/grant.list" HEAD "Content-Length: 3\r\n\r\n{}x"),
		400},
	    {RAW("POST /v1/session.show" HEAD
		 "Content-Length: 20\r\n\r\n{\"session\":\"a\\u0000\"}"),
		400},
	    {RAW("POST /v1/grant.list" HEAD
		 "Content-Length: 7\r\n\r\n{\"a\":1}"),
		400},
	    /* not HTTP/1.1 with a Host */
	    {RAW("POST /v1/grant.list HTTP/1.1\r\nConnection: close\r\n"
		 "Content-Length: 2\r\n\r\n{}"),
		400},
	};
	struct house *h = *state;

	assert_int_equal(raw(h, RAW(fine)), 200);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned status = raw(h, t[i].bytes, t[i].n);
		if (status != t[i].status)
			print_message("%.60s: %u\n", t[i].bytes, status);
		assert_int_equal(status, t[i].status);
	}
	assert_int_equal(raw(h, RAW(fine)), 200);
}

static void
a_body_over_the_cap_is_refused(void **state)
{
	struct house *h = *state;
	size_t n = 1024 * 1024 + 4096;
	char *json = malloc(n + 16);

	memset(json, ' ', n);
	memcpy(json + n - 2, "{}", 3);
	assert_int_equal(call_quiet(h, "grant.list", json), 413);
	free(json);
}

static struct http *
begin_noise(struct house *h)
{
	struct http *c = malloc(sizeof(*c));
	char bytes[sizeof(fine)];

	memcpy(bytes, fine, sizeof(fine));
	for (int k = 0; k < 3; k++)
		bytes[randombytes_uniform(sizeof(fine) - 1)] =
		    (char)randombytes_uniform(256);
	http_begin(h, c, bytes, sizeof(fine) - 1);
	(void)shutdown(c->fd, SHUT_WR);
	return c;
}

/* Random bytes do no harm, whatever they are taken for. Many at once: one
 * whose head has no end is waited for, for ten seconds. */
static void
noise_does_no_harm(void **state)
{
	struct house *h = *state;
	struct http *c[50];

	for (int i = 0; i < 200; i += 50) {
		for (int k = 0; k < 50; k++)
			c[k] = begin_noise(h);
		for (int k = 0; k < 50; k++) {
			(void)http_end(h, c[k]);
			free(c[k]);
		}
	}
	assert_int_equal(raw(h, RAW(fine)), 200);
}

/* More connections than are served wait for nothing: they are closed. */
static void
connections_are_bounded(void **state)
{
	struct house *h = *state;
	int fds[80], open_ones = 80;

	for (int i = 0; i < 80; i++)
		fds[i] = house_connect(h);
	/* It may take a slow machine some turns. */
	for (int turn = 0; open_ones > 64 && turn < 500; turn++) {
		house_turn(h);
		open_ones = 0;
		for (int i = 0; i < 80; i++) {
			char c;
			open_ones += recv(fds[i], &c, 1, MSG_DONTWAIT) < 0;
		}
	}
	for (int i = 0; i < 80; i++)
		close(fds[i]);
	assert_in_range(open_ones, 60, 64);
	house_turn(h);
	assert_int_equal(raw(h, RAW(fine)), 200);
}

static void
keep_alive_serves_one_after_the_other(void **state)
{
	static const char first[] =
	    "POST /v1/grant.list HTTP/1.1\r\nHost: x\r\n"
	    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
	struct house *h = *state;
	struct http *c = malloc(sizeof(*c));
	char both[sizeof(first) + sizeof(fine)];

	memcpy(both, first, sizeof(first) - 1);
	memcpy(both + sizeof(first) - 1, fine, sizeof(fine) - 1);
	http_begin(h, c, both, sizeof(first) + sizeof(fine) - 2);
	assert_int_equal(http_end(h, c), 200);
	assert_non_null(strstr(c->text + 20, "HTTP/1.1 200"));
	free(c);
}

/* Another uid gets no byte, even when the file's mode lets it connect. */
static void
another_uid_is_not_heard(void **state)
{
	struct house *h = *state;
	int status = 0;

	if (geteuid() != 0) {
		print_message("# skipped: needs root for another uid\n");
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		if (chmod(h->sock, 0666) != 0 ||
		    setresgid(65534, 65534, 65534) != 0 ||
		    setresuid(65534, 65534, 65534) != 0)
			_exit(3);
		int fd = house_connect(h);
		if (send(fd, fine, sizeof(fine) - 1, MSG_NOSIGNAL) < 0)
			_exit(0); /* closed already */
		_exit(recv(fd, &c, 1, 0) > 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(raw(h, RAW(fine)), 200);
}

static void
explained(
    struct house *h, const char *method, const char *url, const char *reason)
{
	char json[512];
	json_t *o = NULL;

	(void)snprintf(json, sizeof(json),
	    "{\"session\":\"g\",\"method\":\"%s\",\"url\":\"%s\"}", method,
	    url);
	assert_int_equal(call(h, "explain", json, &o), 200);
	if (strcmp(json_text(o, "reason"), reason) != 0)
		print_message("%s %s\n", method, url);
	assert_string_equal(json_text(o, "reason"), reason);
	assert_int_equal(json_is_true(json_object_get(o, "allowed")),
	    strcmp(reason, "none") == 0);
	json_decref(o);
}

static void
explain_says_what_the_courier_would(void **state)
{
	struct house *h = *state;
	json_t *o = NULL;

	assert_int_equal(call_quiet(h, "session.create",
			     "{\"guest\":\"g\",\"details\":[" DEMO_GRANT ","
			     "{\"name\":\"docs\",\"hosts\":[\"docs.test\"],"
			     "\"tunnel\":true}]}"),
	    200);
	explained(h, "GET", "https://api.demo.test/v1/x", "none");
	explained(h, "GET", "https://API.demo.test:443/v1/x?q=1", "none");
	explained(h, "GET", "https://docs.test/", "none");
	explained(
	    h, "POST", "https://api.demo.test/v1/x", "method-not-granted");
	explained(h, "GET", "https://api.demo.test/v2", "path-not-granted");
	explained(h, "GET", "https://api.demo.test", "path-not-granted");
	explained(
	    h, "GET", "https://api.demo.test:8443/v1/x", "host-not-granted");
	explained(h, "GET", "https://evil.test/v1/x", "host-not-granted");
	explained(h, "GET", "https://api.demo.test/v1/../v2", "bad-path");
	explained(h, "GET", "https://api.demo.test/v1/%2e%2e/x", "bad-path");
	explained(h, "GET", "https://u@api.demo.test/v1", "bad-host");
	explained(h, "GET", "ftp://api.demo.test/v1", "bad-host");
	explained(h, "get", "https://api.demo.test/v1", "bad-request");
	assert_int_equal(call(h, "explain",
			     "{\"session\":\"g\",\"method\":\"GET\","
			     "\"url\":\"https://api.demo.test/v1/x\"}",
			     &o),
	    200);
	assert_string_equal(json_text(o, "grant"), "demo-read");
	assert_string_equal(json_text(o, "credential"), "demo");
	json_decref(o);
	assert_int_equal(call_quiet(h, "revoke", "{\"session\":\"g\"}"), 200);
	explained(h, "GET", "https://api.demo.test/v1/x", "revoked");
}

static void
suggest_groups_refusals(void **state)
{
	static const char lines[] =
	    "{\"seq\":1,\"event\":\"refused\",\"method\":\"POST\","
	    "\"host\":\"api.demo.test\",\"port\":443,\"path\":\"/v1/a?k=v\","
	    "\"reason\":\"method-not-granted\"}\n"
	    "{\"seq\":2,\"event\":\"refused\",\"method\":\"POST\","
	    "\"host\":\"api.demo.test\",\"port\":443,\"path\":\"/v1/a\","
	    "\"reason\":\"method-not-granted\"}\n"
	    "{\"seq\":3,\"event\":\"refused\",\"method\":\"GET\","
	    "\"host\":\"api.demo.test\",\"port\":443,\"path\":\"/v1/a\","
	    "\"reason\":\"foreign-credential\"}\n"
	    "{\"seq\":6,\"event\":\"refused\",\"method\":\"GET\","
	    "\"host\":\"npm.test\",\"port\":443,\"path\":\"/@b%2fc\","
	    "\"reason\":\"hidden-slash\"}\n"
	    "{\"seq\":7,\"event\":\"refused\",\"method\":\"CONNECT\","
	    "\"host\":\"new.test\",\"port\":8443,"
	    "\"reason\":\"host-not-granted\"}\n"
	    "{\"seq\":4,\"event\":\"refused\",\"method\":\"GET\","
	    "\"host\":\"ev il\",\"port\":443,\"path\":\"/\","
	    "\"reason\":\"host-not-granted\"}\n"
	    "not json\n"
	    "{\"seq\":5,\"event\":\"request\",\"method\":\"GET\"}\n";
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	char path[256];
	json_t *o = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s.jsonl", h->audit, p->id);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(lines, f);
	fclose(f);
	assert_int_equal(
	    call(h, "grant.suggest", "{\"session\":\"g\"}", &o), 200);
	json_t *list = json_object_get(o, "suggestions");
	assert_int_equal(json_array_size(list), 3);
	json_t *s = json_array_get(list, 2);
	assert_string_equal(json_text(s, "text"), "new.test:8443/**");
	s = json_array_get(list, 1);
	assert_string_equal(json_text(s, "text"), "GET npm.test/**");
	s = json_array_get(list, 0);
	assert_string_equal(json_text(s, "text"), "POST api.demo.test/v1/a");
	assert_string_equal(json_text(s, "credential"), "demo");
	assert_int_equal(json_integer_value(json_object_get(s, "count")), 2);
	json_decref(o);
}

static void
tokens_are_listed_by_jti_only(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");
	struct http *c = malloc(sizeof(*c));
	json_t *o = NULL;

	assert_int_equal(first_token(h, p), 200);
	call_begin(h, c, "token.list", "{\"session\":\"g\"}");
	assert_int_equal(call_end(h, c, &o), 200);
	json_t *t = json_array_get(json_object_get(o, "tokens"), 0);
	assert_string_equal(json_text(t, "family"), p->family);
	assert_string_equal(json_text(t, "state"), "active");
	assert_null(strstr(c->text, p->token));
	json_decref(o);
	free(c);
	assert_int_equal(call_quiet(h, "token.inspect", "{}"), 400);
	assert_int_equal(
	    call_quiet(h, "token.list", "{\"session\":\"no\"}"), 404);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)
	const struct CMUnitTest tests[] = {
	    T(requests_of_two_meanings_are_refused),
	    T(a_body_over_the_cap_is_refused),
	    T(noise_does_no_harm),
	    T(connections_are_bounded),
	    T(keep_alive_serves_one_after_the_other),
	    T(another_uid_is_not_heard),
	    T(explain_says_what_the_courier_would),
	    T(suggest_groups_refusals),
	    T(tokens_are_listed_by_jti_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
