/* SPDX-License-Identifier: ISC */
/* What for: the store's header, and the manifest that seals all records
 * together. Trusts: the house key; of the file, nothing. At a bound:
 * ERR_CRYPTO. */
#include "vault/store_inside.h"

#include <sodium.h>

#define SUM 16

static void
checksum(const char *name, struct span value, uint8_t out[static SUM])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, SUM);
	crypto_generichash_update(
	    &st, (const unsigned char *)name, strlen(name) + 1);
	crypto_generichash_update(&st, value.p, value.n);
	crypto_generichash_final(&st, out, SUM);
}

int
store_header_get(struct store *s, const char *name, struct buf *out)
{
	sqlite3_stmt *q = NULL;
	uint8_t sum[SUM];
	int r;

	if (s->fresh)
		return ERR_NOT_FOUND;
	if ((r = store_prepare(
		 s, "SELECT value FROM header WHERE name=?", &q)) != 0 ||
	    (r = store_bind_text(q, 1, name)) != 0)
		goto out;
	int code = sqlite3_step(q);
	if (code != SQLITE_ROW) {
		r = code == SQLITE_DONE ? ERR_NOT_FOUND : store_error(code);
		goto out;
	}
	struct span v = store_column(q, 0);
	r = ERR_CRYPTO;
	if (v.n < SUM || v.n > HEADER_MAX)
		goto out;
	struct span body = span_of(v.p, v.n - SUM);
	checksum(name, body, sum);
	if (memcmp(sum, v.p + body.n, SUM) == 0)
		r = buf_put_span(out, body);
out:
	sqlite3_finalize(q);
	return r;
}

int
store_header_write(struct store *s, const char *name, struct span value)
{
	static const char sql[] =
	    "INSERT OR REPLACE INTO header (name, value) VALUES (?, ?)";
	uint8_t whole_value[HEADER_MAX];
	sqlite3_stmt *q = NULL;
	int r;

	if (value.n + SUM > sizeof(whole_value))
		return ERR_TOO_BIG;
	if (value.n != 0)
		memcpy(whole_value, value.p, value.n);
	checksum(name, value, whole_value + value.n);
	if ((r = store_prepare(s, sql, &q)) != 0 ||
	    (r = store_bind_text(q, 1, name)) != 0 ||
	    (r = store_bind_blob(q, 2, span_of(whole_value, value.n + SUM))) !=
		0) {
		sqlite3_finalize(q);
		return r;
	}
	return store_finish(q);
}

/* --- the manifest ---------------------------------------------------- */

static void
hash_part(crypto_generichash_state *st, struct span s)
{
	uint64_t n = s.n;

	crypto_generichash_update(st, (const unsigned char *)&n, sizeof(n));
	crypto_generichash_update(st, s.p, s.n);
}

/* Over every record's table, name, version and seal, in key order. */
static int
digest(struct store *s, uint8_t out[static 32])
{
	static const char sql[] = "SELECT tbl, name, version, seal FROM record"
				  " ORDER BY tbl, name, version";
	crypto_generichash_state st;
	sqlite3_stmt *q = NULL;
	int code, r = store_prepare(s, sql, &q);

	if (r != 0)
		return r;
	crypto_generichash_init(&st, NULL, 0, 32);
	while ((code = sqlite3_step(q)) == SQLITE_ROW) {
		int64_t version = sqlite3_column_int64(q, 2);
		hash_part(&st, store_column(q, 0));
		hash_part(&st, store_column(q, 1));
		hash_part(&st, span_of(&version, sizeof(version)));
		hash_part(&st, store_column(q, 3));
	}
	crypto_generichash_final(&st, out, 32);
	sqlite3_finalize(q);
	return store_error(code);
}

int
store_put_ad(struct store *s, const char *table, const char *name,
    uint64_t version, struct buf *ad)
{
	int r;

	if ((r = buf_put_u32(ad, (uint32_t)strlen(table))) != 0 ||
	    (r = buf_put_str(ad, table)) != 0 ||
	    (r = buf_put_u32(ad, (uint32_t)strlen(name))) != 0 ||
	    (r = buf_put_str(ad, name)) != 0 ||
	    (r = buf_put_u64(ad, version)) != 0)
		return r;
	return buf_put(ad, s->house, sizeof(s->house));
}

int
store_write_manifest(struct store *s)
{
	struct buf *ad = buf_new(1024), *box = buf_new(1024);
	uint8_t sum[32];
	int r = ad == NULL || box == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = digest(s, sum)) == 0 &&
	    (r = store_put_ad(s, "manifest", "", 0, ad)) == 0 &&
	    (r = seal_box(
		 s->key, buf_span(ad), span_of(sum, sizeof(sum)), box)) == 0)
		r = store_header_write(s, "manifest", buf_span(box));
	buf_free(ad);
	buf_free(box);
	return r;
}

int
store_check_manifest(struct store *s, const struct keep *key)
{
	struct buf *ad = buf_new(1024), *box = buf_new(HEADER_MAX);
	struct keep *sealed = NULL;
	uint8_t sum[32];
	int r = ad == NULL || box == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = store_header_get(s, "manifest", box)) == 0 &&
	    (r = store_put_ad(s, "manifest", "", 0, ad)) == 0 &&
	    (r = seal_open(key, buf_span(ad), buf_span(box), &sealed)) == 0 &&
	    (r = digest(s, sum)) == 0 &&
	    !keep_eq(sealed, span_of(sum, sizeof(sum))))
		r = ERR_CRYPTO;
	keep_free(sealed);
	buf_free(ad);
	buf_free(box);
	return r == ERR_NOT_FOUND ? ERR_CRYPTO : r;
}
