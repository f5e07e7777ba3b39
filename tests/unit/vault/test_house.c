/* SPDX-License-Identifier: ISC */
/* Holds requirement 36 for the whole vault: the file's header, where the
 * wrapped house key lies, as well as its records; and the sweeping of
 * orphans and of dead sessions' roots. */
#include "keys/ca.h"
#include "vault/house_in.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define VALUE "canary-value-0123456789"

struct fixture {
	char home[64], config[80], state[80], db[96];
	struct house *h;
};

static void
write_file(const char *dir, const char *name, const void *p, size_t n)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static void
open_house(struct fixture *f)
{
	assert_int_equal(house_new(f->config, f->state, &f->h), 0);
	house_probe(f->h);
}

static void
add(struct fixture *f, const char *name)
{
	struct house_words w = {{0}, {0}};
	struct metadata m;
	struct keep *k = NULL;
	json_t *j = json_pack("{s:s, s:s}", "name", name, "kind", "bearer");

	assert_int_equal(keep_new(VALUE, sizeof(VALUE) - 1, &k), 0);
	if (house_add(f->h, j, k, &m, &w) != 0)
		fail_msg("%s", w.what);
	metadata_free(&m);
	keep_free(k);
	json_decref(j);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t key[32];
	char json[256];

	assert_true(sodium_init() >= 0);
	snprintf(f->home, sizeof(f->home), "/tmp/hatcheck-house-XXXXXX");
	assert_non_null(mkdtemp(f->home));
	snprintf(f->config, sizeof(f->config), "%s/config", f->home);
	snprintf(f->state, sizeof(f->state), "%s/state", f->home);
	snprintf(f->db, sizeof(f->db), "%s/vault.db", f->state);
	assert_int_equal(mkdir(f->config, 0700), 0);
	assert_int_equal(mkdir(f->state, 0700), 0);
	randombytes_buf(key, sizeof(key));
	write_file(f->config, "key", key, sizeof(key));
	snprintf(json, sizeof(json),
	    "{\"backend\":\"sealed-file\",\"key\":\"key-file\","
	    "\"path\":\"%s/key\"}",
	    f->config);
	write_file(f->config, "vault.json", json, strlen(json));
	open_house(f);
	assert_int_equal(house_state(f->h), VAULT_OPEN);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	house_free(f->h);
	snprintf(command, sizeof(command), "rm -rf %s", f->home);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static bool
as_before(struct fixture *f)
{
	struct metadata m;
	struct keep *k = NULL;
	json_t *list = NULL;

	if (house_state(f->h) != VAULT_OPEN) {
		assert_true(house_why(f->h)[0] != '\0');
		return false;
	}
	if (house_list(f->h, &list, NULL) != 0)
		return false;
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	if (house_lease(f->h, "demo", &m, &k, NULL) != 0)
		return false;
	if (!keep_eq(k, span_str(VALUE)) || m.version != 1)
		fail_msg("a wrong value came back");
	keep_free(k);
	metadata_free(&m);
	return true;
}

static void
every_flipped_byte_is_named_or_harmless(void **state)
{
	struct fixture *f = *state;
	unsigned refused = 0, fine = 0;
	struct stat st;

	add(f, "demo");
	house_free(f->h);
	f->h = NULL;
	int fd = open(f->db, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *whole = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, whole, (size_t)st.st_size, 0), st.st_size);
	for (off_t i = 0; i < st.st_size; i++) {
		uint8_t now = whole[i] ^ (uint8_t)(1u << (i % 8));
		assert_int_equal(pwrite(fd, &now, 1, i), 1);
		open_house(f);
		if (as_before(f))
			fine++;
		else
			refused++;
		house_free(f->h);
		f->h = NULL;
		/* It may have settled what it found: all of it goes back. */
		assert_int_equal(ftruncate(fd, st.st_size), 0);
		assert_int_equal(
		    pwrite(fd, whole, (size_t)st.st_size, 0), st.st_size);
	}
	close(fd);
	free(whole);
	print_message("# %lld bytes: %u flips refused, %u harmless\n",
	    (long long)st.st_size, refused, fine);
	assert_true(refused > 300);
	open_house(f);
	assert_true(as_before(f));
}

static bool
has(struct fixture *f, const char *table, const char *name, uint64_t version)
{
	struct keep *k = NULL;
	int r = store_get(f->h->store, table, name, version, &k);

	keep_free(k);
	return r == 0;
}

/* A crash between the value and its row. */
static void
orphans_are_swept_at_opening(void **state)
{
	struct fixture *f = *state;
	struct store *s = f->h->store;

	add(f, "demo");
	assert_int_equal(
	    store_put(s, STORE_INTENT, "demo", 2, span_str("pending")), 0);
	assert_int_equal(
	    store_put(s, STORE_VALUE, "demo", 2, span_str("orphan")), 0);
	assert_int_equal(
	    store_put(s, STORE_INTENT, "never", 1, span_str("pending")), 0);
	assert_int_equal(
	    store_put(s, STORE_VALUE, "never", 1, span_str("orphan")), 0);
	/* And one that did get its row is left alone. */
	assert_int_equal(
	    store_put(s, STORE_INTENT, "demo", 1, span_str("pending")), 0);
	house_free(f->h);
	open_house(f);
	assert_true(as_before(f));
	assert_false(has(f, STORE_VALUE, "demo", 2));
	assert_false(has(f, STORE_VALUE, "never", 1));
	assert_true(has(f, STORE_VALUE, "demo", 1));
	assert_false(has(f, STORE_INTENT, "demo", 1));
	assert_false(has(f, STORE_INTENT, "demo", 2));
	assert_false(has(f, STORE_INTENT, "never", 1));
}

static bool
only_one(void *ctx, const char *session)
{
	(void)ctx;
	return strcmp(session, "s-1") == 0;
}

static void
dead_sessions_roots_are_swept(void **state)
{
	struct fixture *f = *state;
	static const char *const hosts[] = {"api.demo.test"};
	struct buf *spki = buf_new(512), *out = buf_new(65536);
	EVP_PKEY *key = NULL;

	assert_int_equal(ca_key_new(&key), 0);
	assert_int_equal(ca_key_spki(key, spki), 0);
	assert_int_equal(
	    house_ca(f->h, "s-1", buf_span(spki), hosts, 1, out, out), 0);
	assert_int_equal(
	    house_ca(f->h, "s-2", buf_span(spki), hosts, 1, out, out), 0);
	assert_int_equal(house_sweep_roots(f->h, only_one, NULL), 0);
	assert_true(has(f, STORE_ROOT, "s-1", 0));
	assert_false(has(f, STORE_ROOT, "s-2", 0));
	EVP_PKEY_free(key);
	buf_free(spki);
	buf_free(out);
}

static void
keys_of_the_minter_have_plain_names(void **state)
{
	struct fixture *f = *state;
	struct keep *k = NULL;

	assert_int_equal(
	    house_key_put(f->h, "../root", span_str("x")), ERR_ARGUMENT);
	assert_int_equal(house_key_get(f->h, "", &k), ERR_ARGUMENT);
	assert_int_equal(house_key_put(f->h, "audit", span_str("x")), 0);
	assert_int_equal(house_key_get(f->h, "audit", &k), 0);
	assert_true(keep_eq(k, span_str("x")));
	keep_free(k);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(every_flipped_byte_is_named_or_harmless),
	    T(orphans_are_swept_at_opening),
	    T(dead_sessions_roots_are_swept),
	    T(keys_of_the_minter_have_plain_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
