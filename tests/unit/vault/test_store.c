/* SPDX-License-Identifier: ISC */
#include "vault/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	char dir[64], file[96];
	struct keep *key;
	struct store *s;
};

static void
must_open(struct fixture *f)
{
	char why[256] = "";

	assert_int_equal(store_open(f->dir, &f->s, why, sizeof(why)), 0);
	assert_int_equal(store_unlock(f->s, f->key), 0);
}

static void
reopen(struct fixture *f)
{
	store_close(f->s);
	f->s = NULL;
	must_open(f);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char why[256];

	assert_true(sodium_init() >= 0);
	snprintf(f->dir, sizeof(f->dir), "/tmp/hatcheck-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->file, sizeof(f->file), "%s/%s", f->dir, STORE_FILE);
	assert_int_equal(keep_random(SEAL_KEY, &f->key), 0);
	assert_int_equal(store_open(f->dir, &f->s, why, sizeof(why)), 0);
	assert_true(store_fresh(f->s));
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_found(f->s, f->key), 0);
	assert_int_equal(store_commit(f->s), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	unlink(f->file);
	assert_int_equal(rmdir(f->dir), 0); /* one file at rest */
	keep_free(f->key);
	free(f);
	return 0;
}

static void
put(struct fixture *f, const char *name, uint64_t version, const char *text)
{
	assert_int_equal(
	    store_put(f->s, STORE_VALUE, name, version, span_str(text)), 0);
}

static void
expect(struct fixture *f, const char *name, uint64_t version,
    const char *text)
{
	struct keep *k = NULL;

	assert_int_equal(store_get(f->s, STORE_VALUE, name, version, &k), 0);
	assert_true(keep_eq(k, span_str(text)));
	keep_free(k);
}

static void
records_come_back_after_reopening(void **state)
{
	struct fixture *f = *state;
	struct keep *k = NULL;

	put(f, "a", 1, "one");
	put(f, "a", 2, "two");
	put(f, "b", 1, "three");
	put(f, "a", 1, "one again");
	reopen(f);
	expect(f, "a", 1, "one again");
	expect(f, "a", 2, "two");
	assert_int_equal(store_delete(f->s, STORE_VALUE, "a", 2), 0);
	reopen(f);
	assert_int_equal(
	    store_get(f->s, STORE_VALUE, "a", 2, &k), ERR_NOT_FOUND);
	assert_int_equal(
	    store_get(f->s, STORE_ROOT, "a", 1, &k), ERR_NOT_FOUND);
	expect(f, "b", 1, "three");
}

static void
the_largest_value_fits_and_one_more_does_not(void **state)
{
	struct fixture *f = *state;
	static uint8_t big[KEEP_MAX + 1];
	struct keep *k = NULL;

	randombytes_buf(big, sizeof(big));
	assert_int_equal(store_put(f->s, STORE_VALUE, "big", 1,
			     span_of(big, KEEP_MAX)),
	    0);
	assert_int_equal(store_put(f->s, STORE_VALUE, "big", 2,
			     span_of(big, KEEP_MAX + 1)),
	    ERR_TOO_BIG);
	reopen(f);
	assert_int_equal(store_get(f->s, STORE_VALUE, "big", 1, &k), 0);
	assert_true(keep_eq(k, span_of(big, KEEP_MAX)));
	keep_free(k);
}

static void
locked_means_locked(void **state)
{
	struct fixture *f = *state;
	struct keep *k = NULL, *other = NULL;

	put(f, "a", 1, "one");
	store_lock(f->s);
	assert_int_equal(store_get(f->s, STORE_VALUE, "a", 1, &k), ERR_LOCKED);
	assert_int_equal(
	    store_put(f->s, STORE_VALUE, "a", 1, span_str("x")), ERR_LOCKED);
	assert_int_equal(
	    store_delete(f->s, STORE_VALUE, "a", 1), ERR_LOCKED);
	assert_int_equal(keep_random(SEAL_KEY, &other), 0);
	assert_int_equal(store_unlock(f->s, other), ERR_CRYPTO);
	assert_int_equal(store_unlock(f->s, f->key), 0);
	expect(f, "a", 1, "one");
	keep_free(other);
}

static void
a_transaction_is_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct keep *k = NULL;

	put(f, "a", 1, "one");
	assert_int_equal(store_begin(f->s), 0);
	put(f, "a", 1, "changed");
	put(f, "b", 1, "new");
	store_rollback(f->s);
	expect(f, "a", 1, "one");
	assert_int_equal(
	    store_get(f->s, STORE_VALUE, "b", 1, &k), ERR_NOT_FOUND);
	reopen(f);
	expect(f, "a", 1, "one");
}

static void
one_process_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct store *other = NULL;
	char why[256] = "";

	assert_int_equal(
	    store_open(f->dir, &other, why, sizeof(why)), ERR_SEQUENCE);
	assert_non_null(strstr(why, "in use"));
}

static void
a_file_that_others_may_read_is_refused(void **state)
{
	struct fixture *f = *state;
	char why[256] = "";

	store_close(f->s);
	f->s = NULL;
	assert_int_equal(chmod(f->file, 0644), 0);
	assert_int_equal(
	    store_open(f->dir, &f->s, why, sizeof(why)), ERR_DENIED);
}

/* Plaintext never reaches the file: neither values nor names of keys. */
static size_t
slurp(const char *path, uint8_t **out)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	*out = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, *out, (size_t)st.st_size), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static void
values_are_not_in_the_file(void **state)
{
	struct fixture *f = *state;
	uint8_t *p;

	put(f, "a", 1, "canary-value-canary");
	put(f, "a", 1, "another");
	size_t n = slurp(f->file, &p);
	assert_null(memmem(p, n, "canary-value", 12));
	assert_non_null(memmem(p, n, "value", 5)); /* the table's name is */
	free(p);
}

/* Any SQL on the closed file: what somebody with the file can do. */
#include <sqlite3.h>
static void
meddle(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	store_close(f->s);
	f->s = NULL;
	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
expect_damage(struct fixture *f)
{
	char why[256];
	struct store *s = NULL;
	int r = store_open(f->dir, &s, why, sizeof(why));

	if (r == 0)
		r = store_unlock(s, f->key);
	assert_int_equal(r, ERR_CRYPTO);
	store_close(s);
}

static void
a_swapped_row_is_seen(void **state)
{
	struct fixture *f = *state;

	put(f, "a", 1, "one");
	put(f, "b", 1, "two");
	meddle(f, "UPDATE record SET name='c' WHERE name='a';"
		  "UPDATE record SET name='a' WHERE name='b';"
		  "UPDATE record SET name='b' WHERE name='c';");
	expect_damage(f);
}

static void
a_removed_row_is_seen(void **state)
{
	struct fixture *f = *state;

	put(f, "a", 1, "one");
	put(f, "b", 1, "two");
	meddle(f, "DELETE FROM record WHERE name='a';");
	expect_damage(f);
}

static void
a_row_put_back_to_an_older_self_is_seen(void **state)
{
	struct fixture *f = *state;

	put(f, "a", 1, "older");
	meddle(f, "CREATE TABLE kept AS SELECT * FROM record;");
	meddle(f, "CREATE TABLE x (y); DROP TABLE x;");
	/* The extra table itself is damage; hide it as an attacker would. */
	expect_damage(f);
	meddle(f, "ALTER TABLE kept RENAME TO kept2;");
	sqlite3 *db, *aside;
	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_open(":memory:", &aside), SQLITE_OK);
	sqlite3_exec(db, "DROP TABLE kept2", NULL, NULL, NULL);
	sqlite3_backup *b = sqlite3_backup_init(aside, "main", db, "main");
	assert_non_null(b);
	sqlite3_backup_step(b, -1);
	sqlite3_backup_finish(b);
	sqlite3_close(db);
	must_open(f);
	put(f, "a", 1, "newer");
	store_close(f->s);
	f->s = NULL;
	/* One row of the old file into the new one. */
	sqlite3_stmt *q, *u;
	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	sqlite3_prepare_v2(aside,
	    "SELECT seal, box FROM record WHERE name='a'", -1, &q, NULL);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	sqlite3_prepare_v2(db,
	    "UPDATE record SET seal=?, box=? WHERE name='a'", -1, &u, NULL);
	sqlite3_bind_value(u, 1, sqlite3_column_value(q, 0));
	sqlite3_bind_value(u, 2, sqlite3_column_value(q, 1));
	assert_int_equal(sqlite3_step(u), SQLITE_DONE);
	sqlite3_finalize(u);
	sqlite3_finalize(q);
	sqlite3_close(db);
	sqlite3_close(aside);
	expect_damage(f);
}

static void
every_cut_is_seen(void **state)
{
	struct fixture *f = *state;
	uint8_t *p;

	put(f, "a", 1, "one");
	store_close(f->s);
	f->s = NULL;
	size_t n = slurp(f->file, &p);
	for (size_t to = 0; to < n; to += 97) {
		char why[256];
		struct store *s = NULL;
		assert_int_equal(truncate(f->file, (off_t)to), 0);
		int r = store_open(f->dir, &s, why, sizeof(why));
		if (r == 0)
			r = store_fresh(s) ? ERR_NONE
					   : store_unlock(s, f->key);
		assert_int_not_equal(r, 0);
		store_close(s);
		int fd = open(f->file, O_WRONLY);
		assert_int_equal(write(fd, p, n), n);
		close(fd);
	}
	free(p);
}

/* Requirement 36. */
struct tally {
	unsigned refused, as_before;
};

static int
read_everything(struct fixture *f, struct store *s)
{
	struct keep *k = NULL;
	char name[16];
	int r = store_unlock(s, f->key);

	for (int i = 0; i < 4 && r == 0; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		r = store_get(s, STORE_VALUE, name, 1, &k);
		if (r == 0 && !keep_eq(k, span_str(name)))
			fail_msg("a wrong value came back");
		keep_free(k);
		k = NULL;
	}
	return r;
}

static void
one_flip(struct fixture *f, int fd, off_t at, uint8_t was, uint8_t mask,
    struct tally *t)
{
	uint8_t now = was ^ mask;
	struct store *s = NULL;
	char why[256];
	int r;

	assert_int_equal(pwrite(fd, &now, 1, at), 1);
	r = store_open(f->dir, &s, why, sizeof(why));
	if (r == 0) {
		assert_false(store_fresh(s));
		r = read_everything(f, s);
	}
	store_close(s);
	if (r == 0)
		t->as_before++;
	else
		t->refused++;
	assert_int_equal(pwrite(fd, &was, 1, at), 1);
}

static void
every_flipped_byte_is_seen_or_harmless(void **state)
{
	struct fixture *f = *state;
	struct tally t = {0, 0};
	char name[16];
	uint8_t *p;

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		put(f, name, 1, name);
	}
	store_close(f->s);
	f->s = NULL;
	size_t n = slurp(f->file, &p);
	int fd = open(f->file, O_RDWR);
	for (size_t i = 0; i < n; i++)
		one_flip(f, fd, (off_t)i, p[i], 0xff, &t);
	for (size_t i = 0; i < n; i++)
		one_flip(f, fd, (off_t)i, p[i], (uint8_t)(1u << (i % 8)), &t);
	close(fd);
	free(p);
	print_message("# %zu bytes: %u flips refused, %u harmless\n", n,
	    t.refused, t.as_before);
	assert_true(t.refused > 400);
	must_open(f);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(records_come_back_after_reopening),
		T(the_largest_value_fits_and_one_more_does_not),
		T(locked_means_locked),
		T(a_transaction_is_all_or_nothing),
		T(one_process_at_a_time),
		T(a_file_that_others_may_read_is_refused),
		T(values_are_not_in_the_file),
		T(a_swapped_row_is_seen),
		T(a_removed_row_is_seen),
		T(a_row_put_back_to_an_older_self_is_seen),
		T(every_cut_is_seen),
		T(every_flipped_byte_is_seen_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
