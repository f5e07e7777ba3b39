/* SPDX-License-Identifier: ISC */
/* The minter's chain, its anchors, and what the offline check finds. */
#include "tests/unit/minter/driver.h"

#include "lib/chainlog.h"
#include "minter/audit_verify.h"

#include <sys/resource.h>

struct findings {
	unsigned good, warnings, bad;
	char file[64], text[512];
	uint64_t line;
};

static void
on_note(void *ctx, enum audit_note kind, const char *file, uint64_t line,
    const char *text)
{
	struct findings *f = ctx;

	f->good += kind == AUDIT_GOOD;
	f->warnings += kind == AUDIT_WARNING;
	if (kind != AUDIT_BAD)
		return;
	print_message("# %s:%llu: %s\n", file, (unsigned long long)line, text);
	if (f->bad++ == 0) {
		(void)snprintf(f->file, sizeof(f->file), "%s", file);
		(void)snprintf(f->text, sizeof(f->text), "%s", text);
		f->line = line;
	}
}

static int
check(struct house *h, struct findings *f)
{
	struct audit_report r;

	memset(f, 0, sizeof(*f));
	return audit_verify(h->audit, NULL, on_note, f, &r);
}

static void
path_of(struct house *h, const char *file, char out[static 256])
{
	(void)snprintf(out, 256, "%s/%s", h->audit, file);
}

static size_t
slurp(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	fclose(f);
	return n;
}

static void
spill(const char *path, const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

/* Play the courier's log: lines, the head told, n more lines untold. */
static void
write_session(struct house *h, struct pair *p, int told, int untold)
{
	char path[256], name[64], line[64];
	struct chainlog *c;

	(void)snprintf(name, sizeof(name), "%s.jsonl", p->id);
	path_of(h, name, path);
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(chainlog_open(fd, -1, p->id, &c), 0);
	for (int i = 0; i < told + untold; i++) {
		(void)snprintf(
		    line, sizeof(line), "\"event\":\"request\",\"n\":%d", i);
		assert_int_equal(chainlog_append(c, span_str(line)), 0);
		if (i != told - 1)
			continue;
		struct chainlog_head head = chainlog_head(c);
		struct rules_audit_head a = {
		    .seq = head.seq, .hash = span_of(head.hash, CHAINLOG_HASH)};
		assert_int_equal(
		    link_send(p->courier, &msg_rules_audit_head, &a, -1), 0);
		assert_int_equal(link_flush(p->courier, 1000), 0);
	}
	chainlog_free(c);
}

/* A directory with one session of five anchored lines; the minter down. */
static struct house *
recorded(char session_file[static 256], int untold)
{
	struct house *h;
	char name[64];

	house_setup((void **)&h);
	struct pair *p = house_session(h, "g");
	assert_int_equal(first_token(h, p), 200);
	write_session(h, p, 5, untold);
	house_turn(h);
	assert_int_equal(
	    call_quiet(h, "session.end", "{\"session\":\"g\"}"), 200);
	(void)snprintf(name, sizeof(name), "%s.jsonl", p->id);
	path_of(h, name, session_file);
	assert_int_equal(house_stop(h, 0), 0);
	return h;
}

static void
what_was_written_verifies(void **state)
{
	char file[256], path[256], text[65536];
	struct findings f;
	struct house *h = recorded(file, 0);

	(void)state;
	assert_int_equal(check(h, &f), 0);
	assert_int_equal(f.bad, 0);
	assert_int_equal(f.warnings, 0);
	assert_int_equal(f.good, 2);
	path_of(h, "minter.jsonl", path);
	slurp(path, text, sizeof(text));
	static const char *const events[] = {"started", "session_created",
	    "token", "session_ended", "anchor", "stopped"};
	for (size_t i = 0; i < 6; i++) {
		char word[64];
		(void)snprintf(
		    word, sizeof(word), "\"event\":\"%s\"", events[i]);
		assert_non_null(strstr(text, word));
	}
	house_free(h);
}

static void
a_tail_after_the_anchor_is_a_warning(void **state)
{
	char file[256];
	struct findings f;
	struct house *h = recorded(file, 3);

	(void)state;
	assert_int_equal(check(h, &f), 0);
	assert_int_equal(f.warnings, 1);
	house_free(h);
}

/* Each edit of a file, and the line where the check must find it. */
enum edit { CHANGE, REMOVE, SWAP, CUT_TAIL };

static size_t
line_at(const char *text, unsigned n)
{
	const char *p = text;

	while (--n > 0)
		p = strchr(p, '\n') + 1;
	return (size_t)(p - text);
}

static void
edit(const char *path, enum edit how)
{
	char text[65536], out[65536];
	size_t n = slurp(path, text, sizeof(text)), a = line_at(text, 2),
	       b = line_at(text, 3), c = line_at(text, 4);

	memcpy(out, text, n);
	switch (how) {
	case CHANGE:
		out[b - 3] ^= 1;
		break;
	case REMOVE:
		memmove(out + a, out + b, n - b);
		n -= b - a;
		break;
	case SWAP:
		memcpy(out + a, text + b, c - b);
		memcpy(out + a + (c - b), text + a, b - a);
		break;
	case CUT_TAIL:
		n = b;
		break;
	}
	spill(path, out, n);
}

static void
every_edit_of_a_session_is_found(void **state)
{
	static const struct {
		enum edit how;
		uint64_t first, last;
	} t[] = {
	    {CHANGE, 2, 3}, {REMOVE, 2, 2}, {SWAP, 2, 2}, {CUT_TAIL, 3, 5}};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char file[256];
		struct findings f;
		struct house *h = recorded(file, 0);

		edit(file, t[i].how);
		assert_int_equal(check(h, &f), ERR_CRYPTO);
		assert_string_equal(f.file, strrchr(file, '/') + 1);
		assert_in_range(f.line, t[i].first, t[i].last);
		house_free(h);
	}
}

static void
a_missing_file_is_found(void **state)
{
	char file[256];
	struct findings f;
	struct house *h = recorded(file, 0);

	(void)state;
	assert_int_equal(unlink(file), 0);
	assert_int_equal(check(h, &f), ERR_CRYPTO);
	assert_string_equal(f.file, strrchr(file, '/') + 1);
	assert_non_null(strstr(f.text, "missing"));
	house_free(h);
}

/* Rewritten whole, with a chain that is good in itself. */
static void
a_rewritten_session_is_found(void **state)
{
	char file[256];
	struct findings f;
	struct chainlog *c;
	struct house *h = recorded(file, 0);
	char id[64];

	(void)state;
	(void)snprintf(id, sizeof(id), "%s", strrchr(file, '/') + 1);
	*strchr(id, '.') = '\0';
	assert_int_equal(truncate(file, 0), 0);
	assert_int_equal(
	    chainlog_open(open(file, O_RDWR | O_APPEND), -1, id, &c), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(
		    chainlog_append(c, span_str("\"event\":\"nice\"")), 0);
	chainlog_free(c);
	assert_int_equal(check(h, &f), ERR_CRYPTO);
	assert_int_equal(f.line, 5);
	house_free(h);
}

static void
another_key_is_found(void **state)
{
	char file[256], path[256], text[4096];
	struct findings f;
	struct house *h = recorded(file, 0);
	struct signing *other;
	struct jwks set;
	struct buf *b = buf_new(4096);

	(void)state;
	path_of(h, "keys.json", path);
	slurp(path, text, sizeof(text));
	assert_int_equal(jwks_parse(span_str(text), &set), 0);
	assert_int_equal(signing_new(1, &other), 0);
	struct jwks mine;
	signing_public(other, 1, &mine);
	memcpy(set.keys[0].public_key, mine.keys[0].public_key, 32);
	assert_int_equal(jwks_encode(&set, b), 0);
	spill(path, (const char *)buf_span(b).p, buf_len(b));
	assert_int_equal(check(h, &f), ERR_CRYPTO);
	assert_string_equal(f.file, "minter.jsonl");
	assert_non_null(strstr(f.text, "signature"));
	signing_free(other);
	buf_free(b);
	house_free(h);
}

static void
keys_of_before_are_kept(void **state)
{
	char file[256], path[256], text[4096];
	struct findings f;
	struct jwks set;
	struct house *h = recorded(file, 0);

	(void)state;
	/* A vault made anew has new keys. */
	memset(h->keys, 0, sizeof(h->keys));
	h->puts = 0;
	house_start(h);
	house_vault(h, VAULT_OPEN);
	assert_true(house_until(h, has_keys, h));
	house_turn(h);
	assert_int_equal(house_stop(h, 0), 0);
	path_of(h, "keys.json", path);
	slurp(path, text, sizeof(text));
	assert_int_equal(jwks_parse(span_str(text), &set), 0);
	assert_int_equal(set.n, 2);
	assert_int_equal(check(h, &f), 0);
	house_free(h);
}

/* ---- requirement 28 ---- */

/* From now on no file of the minter's may grow. */
static void
fill_the_disk(struct house *h)
{
	struct rlimit l = {1, 1};

	assert_int_equal(prlimit(h->pid, RLIMIT_FSIZE, &l, NULL), 0);
}

static int
full_setup(void **state)
{
	struct house *h = house_new();

	h->fsize = 1;
	house_start(h);
	house_vault(h, VAULT_OPEN);
	assert_true(house_until(h, has_keys, h));
	house_turn(h);
	*state = h;
	return 0;
}

static void
without_a_log_no_token_and_all_is_cut(void **state)
{
	struct house *h = *state;
	struct pair *a = house_session(h, "a"), *b = house_session(h, "b");
	json_t *o = NULL;

	assert_int_equal(first_token(h, a), 200);
	fill_the_disk(h);
	assert_int_equal(first_token(h, b), 503);
	assert_string_equal(b->token, "");
	house_turn(h);
	assert_int_equal(a->last_kind, RULES_CUT_SESSION);
	assert_int_equal(a->cuts_gate, 1);
	assert_int_equal(b->cuts_courier, 1);
	assert_int_equal(renew_token(h, a, a->token), 503);
	assert_int_equal(call_quiet(h, "session.create", "{}"), 503);
	assert_int_equal(call_quiet(h, "grant.apply", "{\"grants\":[]}"), 503);
	/* What starts anew meanwhile is not told anything. */
	unwire_pair(a);
	a->rules = a->sessions = 0;
	wire_pair(h, a);
	house_turn(h);
	assert_int_equal(a->rules + a->sessions, 0);

	struct http *c = malloc(sizeof(*c));
	static const char status[] =
	    "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	http_begin(h, c, status, sizeof(status) - 1);
	assert_int_equal(call_end(h, c, &o), 200);
	assert_string_equal(json_text(o, "audit"), "failed");
	json_decref(o);
	free(c);
}

static void
a_revocation_that_is_not_durable_says_so_and_cuts(void **state)
{
	struct house *h = *state;
	struct pair *p = house_session(h, "g");

	assert_int_equal(first_token(h, p), 200);
	fill_the_disk(h);
	assert_int_equal(
	    call_quiet(h, "revoke", "{\"grant\":\"demo-read\"}"), 503);
	house_turn(h);
	assert_int_equal(p->last_kind, RULES_CUT_SESSION);
	assert_int_equal(p->cuts_gate, 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, full_setup, house_teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_written_verifies),
	    cmocka_unit_test(a_tail_after_the_anchor_is_a_warning),
	    cmocka_unit_test(every_edit_of_a_session_is_found),
	    cmocka_unit_test(a_missing_file_is_found),
	    cmocka_unit_test(a_rewritten_session_is_found),
	    cmocka_unit_test(another_key_is_found),
	    cmocka_unit_test(keys_of_before_are_kept),
	    T(without_a_log_no_token_and_all_is_cut),
	    T(a_revocation_that_is_not_durable_says_so_and_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
